import { defineConfig } from "vite";

// One module of what the tests take from the sources; see tests/harness.ts.
export default defineConfig({
  build: { target: "es2022", lib: { entry: "tests/harness.ts", formats: ["es"], fileName: () => "harness.js" }, reportCompressedSize: false },
});
