// The start of the page.

import './style/token.css';
import './style/base.css';
import './style/shell.css';
import './style/component.css';
import './style/chart.css';
import './style/page.css';

import { render } from 'solid-js/web';
import { startHeartbeat } from './api/connection';
import { App } from './app';
import { startRouter } from './router';

// The process was replaced by another version, whose files have other names.
window.addEventListener('vite:preloadError', (event) => {
  const key = 'nave.reloaded';
  const last = Number(sessionStorage.getItem(key) ?? 0);
  if (Date.now() - last < 10_000) return;
  event.preventDefault();
  sessionStorage.setItem(key, String(Date.now()));
  location.reload();
});

const root = document.getElementById('nave');
if (root) {
  startRouter();
  startHeartbeat();
  render(() => <App />, root);
}
