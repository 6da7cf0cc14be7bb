import { fileURLToPath } from "node:url";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

// The built files are committed, and CI compares: so they are the same wherever they are built.
export default defineConfig({
  plugins: [react()],
  base: "/",
  resolve: { alias: { "@": fileURLToPath(new URL("./src", import.meta.url)) } },
  build: {
    outDir: "../headwater/api/static",
    emptyOutDir: true,
    // The content security policy allows no inline data.
    assetsInlineLimit: 0,
    assetsDir: "static",
    modulePreload: { polyfill: false },
    target: "es2022",
    reportCompressedSize: false,
  },
  // For `npm run dev`: the pages from here, the answers from a server that runs (headwater serve --insecure-local).
  server: { proxy: { "/api": "http://127.0.0.1:8421" } },
  test: { include: ["src/**/*.test.{ts,tsx}"] },
});
