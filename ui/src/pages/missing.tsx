// An address that is no page.

import { Empty } from '../component/state';
import { href, place } from '../router';
import { entries } from '../shell/navigation';
import { Page } from '../shell/page';

export function Missing() {
  return (
    <Page title="Not found">
      <Empty title="There is no such page">
        Nothing is at <code>{place().path}</code>. The first page is{' '}
        <a href={href(entries[0]?.path ?? '/')}>{entries[0]?.title}</a>.
      </Empty>
    </Page>
  );
}
