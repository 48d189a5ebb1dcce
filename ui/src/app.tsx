// Which page is at which path. What the front page does not need is loaded when it is opened.

import { lazy } from 'solid-js';
import ClustersPage from './pages/cluster';
import { Missing } from './pages/missing';
import { served } from './process';
import { Pages, type Route } from './router';
import { Shell } from './shell/shell';

const ClusterPage = lazy(() => import('./pages/cluster/one'));
const TargetsPage = lazy(() => import('./pages/target'));
const DiscoveryPage = lazy(() => import('./pages/discovery'));
const AlertsPage = lazy(() => import('./pages/alert'));
const RulesPage = lazy(() => import('./pages/rule'));
const StoragePage = lazy(() => import('./pages/storage'));
const ConfigPage = lazy(() => import('./pages/config'));
const FlagsPage = lazy(() => import('./pages/flag'));
const RuntimePage = lazy(() => import('./pages/runtime'));
const AgentPage = lazy(() => import('./pages/agent'));
const QueryPage = lazy(() => import('./pages/query'));

const COMMON: readonly Route[] = [
  { path: '/targets', page: TargetsPage },
  { path: '/service-discovery', page: DiscoveryPage },
  { path: '/config', page: ConfigPage },
  { path: '/flags', page: FlagsPage },
  { path: '/status', page: RuntimePage },
];
const HUB: readonly Route[] = [
  { path: '/clusters', page: ClustersPage },
  { path: '/clusters/:name', page: ClusterPage },
  { path: '/query', page: QueryPage },
  { path: '/alerts', page: AlertsPage },
  { path: '/rules', page: RulesPage },
  { path: '/tsdb-status', page: StoragePage },
];
const AGENT: readonly Route[] = [{ path: '/agent', page: AgentPage }];

const routes = [...COMMON, ...(served.mode === 'hub' ? HUB : AGENT)];

export function App() {
  return (
    <Shell>
      <Pages routes={routes} missing={Missing} />
    </Shell>
  );
}
