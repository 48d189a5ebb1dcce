// Leaves gzip and brotli forms beside the built files that get smaller; the binary embeds all of them.
// Plain http gets gzip (browsers take brotli only over TLS and from localhost).
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';

const web = new URL('../dist/web/', import.meta.url).pathname;
const total = { files: 0, plain: 0, gzip: 0, brotli: 0 };

for (const entry of readdirSync(web, { recursive: true, withFileTypes: true })) {
  if (!entry.isFile()) continue;
  const path = join(entry.parentPath, entry.name);
  const plain = readFileSync(path);
  const gzip = gzipSync(plain, { level: 9 });
  const brotli = brotliCompressSync(plain, {
    params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: plain.length },
  });
  // The page itself is changed by the process before it goes out.
  const smaller = entry.name !== 'index.html' && gzip.length < plain.length * 0.95;
  if (smaller) writeFileSync(`${path}.gz`, gzip);
  if (smaller) writeFileSync(`${path}.br`, brotli);
  total.files += 1;
  total.plain += plain.length;
  total.gzip += smaller ? gzip.length : plain.length;
  total.brotli += smaller ? brotli.length : plain.length;
}

if (!readFileSync(join(web, 'index.html'), 'utf8').includes('<meta name="nave">')) {
  throw new Error(
    'dist/web/index.html lacks <meta name="nave">, where the process writes its prefix and mode',
  );
}
const kilobytes = (bytes) => (bytes / 1000).toFixed(1);
console.log(
  `ui: ${total.files} files, ${kilobytes(total.plain)} kB, gzip ${kilobytes(total.gzip)} kB, ` +
    `brotli ${kilobytes(total.brotli)} kB`,
);
