// Takes the addresses out of the lock file after `npm install`: contents are pinned by hash, and where they come
// from is the setting of each machine. npm's own option for that loses packages of other platforms.
import { readFileSync, writeFileSync } from 'node:fs';

const path = new URL('../package-lock.json', import.meta.url);
const lock = JSON.parse(readFileSync(path, 'utf8'));
for (const item of Object.values(lock.packages)) delete item.resolved;
writeFileSync(path, `${JSON.stringify(lock, null, 2)}\n`);
