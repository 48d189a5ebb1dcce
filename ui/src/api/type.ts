// Shapes of the API's answers; names are the API's.

export type Labels = Record<string, string>;

/** `[seconds, text]`: numbers come as text, since JSON has no NaN and no infinities. */
export type SamplePair = [number, string];

/** `[boundary rule, left, right, count]`. */
export type Bucket = [number, string, string, string];

export interface Histogram {
  count: string;
  sum: string;
  buckets?: Bucket[];
}

export type HistogramPair = [number, Histogram];

export interface VectorSample {
  metric: Labels;
  value?: SamplePair;
  histogram?: HistogramPair;
}

export interface MatrixSeries {
  metric: Labels;
  values?: SamplePair[];
  histograms?: HistogramPair[];
}

export type QueryResult =
  | { resultType: 'vector'; result: VectorSample[] }
  | { resultType: 'matrix'; result: MatrixSeries[] }
  | { resultType: 'scalar'; result: SamplePair }
  | { resultType: 'string'; result: SamplePair };

/** `clusters`: what a hub with a clusters file knows of one. Counts are since the hub's start. */
export interface ClusterRow {
  name: string;
  silent: boolean;
  lastContact: string | null;
  lagSeconds: number | null;
  samplesPerSecond: number;
  bytesPerSecond: number;
  activeSeries: number;
  requests: number;
  receivedBytes: number;
  acceptedSamples: number;
  rejectedSamples: Record<string, number>;
  throttledRequests: Record<string, number>;
  senderVersion: string;
  clockSkewSeconds: number | null;
  labels: Labels;
  limits: Record<string, number>;
}

export type Health = 'up' | 'down' | 'unknown';

export interface ActiveTarget {
  discoveredLabels: Labels;
  labels: Labels;
  scrapePool: string;
  scrapeUrl: string;
  globalUrl: string;
  lastError: string;
  lastScrape: string;
  lastScrapeDuration: number;
  health: Health;
  scrapeInterval: string;
  scrapeTimeout: string;
}

export interface DroppedTarget {
  discoveredLabels: Labels;
  scrapePool: string;
}

export interface Targets {
  activeTargets: ActiveTarget[];
  droppedTargets: DroppedTarget[];
  droppedTargetCounts: Record<string, number> | null;
}

export interface Count {
  name: string;
  value: number;
}

export interface TsdbStatus {
  headStats: {
    numSeries: number;
    numLabelPairs: number;
    chunkCount: number;
    minTime: number;
    maxTime: number;
  };
  seriesCountByMetricName: Count[];
  labelValueCountByLabelName: Count[];
  memoryInBytesByLabelName: Count[];
  seriesCountByLabelValuePair: Count[];
  /** Nave's own; other servers do not have these two. */
  seriesCountByJob?: Count[];
  seriesCountByCluster?: Count[];
  /** Minutes without any are left out; `time` in ms. */
  newSeriesByMinute?: { time: number; value: number }[];
}

export interface BlockRow {
  ulid: string;
  level: string;
  minTime: number;
  maxTime: number;
  stats: { numSeries: number; numSamples: number; numBytes: number };
  tombstones?: number;
}

export interface RuntimeInfo {
  startTime: string;
  CWD: string;
  hostname: string;
  serverTime: string;
  reloadConfigSuccess: boolean;
  lastConfigTime: string;
  corruptionCount: number;
  goroutineCount: number;
  GOMAXPROCS: number;
  GOMEMLIMIT: number;
  storageRetention: string;
}

export interface BuildInfo {
  version: string;
  revision: string;
  branch: string;
  buildUser: string;
  buildDate: string;
  goVersion: string;
}

export type AlertState = 'firing' | 'pending' | 'inactive' | 'unknown';

export interface Alert {
  labels: Labels;
  annotations: Labels;
  state: AlertState;
  activeAt?: string;
  keepFiringSince?: string;
  value: string;
}

export interface Rule {
  type: 'alerting' | 'recording';
  name: string;
  query: string;
  labels?: Labels;
  health: 'ok' | 'err' | 'unknown';
  lastError?: string;
  evaluationTime: number;
  lastEvaluation: string;
  state?: AlertState;
  duration?: number;
  keepFiringFor?: number;
  annotations?: Labels;
  alerts?: Alert[];
}

export interface RuleGroup {
  name: string;
  file: string;
  interval: number;
  limit?: number;
  evaluationTime: number;
  lastEvaluation: string;
  rules: Rule[];
}

export interface MetadataEntry {
  type: string;
  help: string;
  unit: string;
}
