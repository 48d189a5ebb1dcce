// Every package whose code reaches the browser must have a licence that Nave's own goes together with.
import { readFileSync } from 'node:fs';

// BlueOak-1.0.0 is as permissive as MIT; lru-cache, a part of the editor's autocompletion, has it.
const ALLOWED = ['Apache-2.0', 'BlueOak-1.0.0', 'BSD-3-Clause', 'ISC', 'MIT'];
const lock = JSON.parse(readFileSync(new URL('../package-lock.json', import.meta.url), 'utf8'));
const shipped = Object.entries(lock.packages).filter(([path, item]) => path !== '' && !item.dev);
const wrong = shipped.filter(([, item]) => !ALLOWED.includes(item.license));
for (const [path, item] of wrong) {
  console.error(`${path}: licence ${item.license ?? 'unknown'}, expected one of ${ALLOWED.join(', ')}`);
}
if (wrong.length > 0) process.exit(1);
console.log(`licences of ${shipped.length} packages are fine`);
