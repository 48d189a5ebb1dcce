// How the pages are built: into dist/web, with a hash of its content in every file name, and addresses that
// are relative, so that the pages live below any prefix.
import { defineConfig } from 'vite';
import solid from 'vite-plugin-solid';

// `npm run dev` asks this hub; the address is the demo's.
const hub = process.env.NAVE_HUB ?? 'http://127.0.0.1:9090';

export default defineConfig({
  base: './',
  plugins: [solid()],
  build: {
    outDir: 'dist/web',
    emptyOutDir: true,
    target: 'es2023',
    // Small pictures as data URLs would need an exception in the content security policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    chunkSizeWarningLimit: 1000,
  },
  server: {
    proxy: Object.fromEntries(['/api', '/-', '/metrics', '/version'].map((path) => [path, hub])),
  },
});
