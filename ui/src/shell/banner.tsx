// Says that the process is gone, or not ready, above every page; it goes away by itself.

import { Match, Switch } from 'solid-js';
import { connection, goneSince } from '../api/connection';
import { Icon } from '../component/icon';
import { duration, instant, now } from '../format/time';
import { served } from '../process';

export function Banner() {
  const name = served.mode === 'hub' ? 'hub' : 'agent';
  return (
    <div role="status" class="banner-place">
      <Switch>
        <Match when={connection() === 'gone'}>
          <div class="banner">
            <Icon name="warn" />
            <span>
              The {name} does not answer since {instant(goneSince() ?? now())} (
              {duration(Math.max(0, now() - (goneSince() ?? now())))}). What you see is what it said last;
              this page goes on by itself when it is back.
            </span>
          </div>
        </Match>
        <Match when={connection() === 'starting'}>
          <div class="banner is-starting">
            <Icon name="warn" />
            <span>The {name} is starting and reads its log; this page goes on by itself.</span>
          </div>
        </Match>
      </Switch>
    </div>
  );
}
