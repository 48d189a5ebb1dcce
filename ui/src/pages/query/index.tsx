// The query page.

import { Empty } from '../../component/state';
import { Page } from '../../shell/page';

export default function QueryPage() {
  return (
    <Page title="Query">
      <Empty title="No panel yet" icon="query" />
    </Page>
  );
}
