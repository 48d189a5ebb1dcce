// Which page is at which path. What the front page does not need is loaded when it is opened.

import { lazy } from 'solid-js';
import ClustersPage from './pages/cluster';
import { Missing } from './pages/missing';
import { served } from './process';
import { Pages, type Route } from './router';
import { Shell } from './shell/shell';

const ClusterPage = lazy(() => import('./pages/cluster/one'));
const QueryPage = lazy(() => import('./pages/query'));

const COMMON: readonly Route[] = [];
const HUB: readonly Route[] = [
  { path: '/clusters', page: ClustersPage },
  { path: '/clusters/:name', page: ClusterPage },
  { path: '/query', page: QueryPage },
];
const AGENT: readonly Route[] = [];

const routes = [...COMMON, ...(served.mode === 'hub' ? HUB : AGENT)];

export function App() {
  return (
    <Shell>
      <Pages routes={routes} missing={Missing} />
    </Shell>
  );
}
