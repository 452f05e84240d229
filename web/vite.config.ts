import { defineConfig } from "vite";

// Two files to begin with (script and style) and one part for charts, fetched when a chart is drawn. No inline script or
// style and no data: URLs, for the page is served with a policy that allows neither.
export default defineConfig({
  base: "/",
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    cssCodeSplit: true,
    sourcemap: false,
    reportCompressedSize: false,
  },
});
