import { defineConfig } from "vitest/config";

export default defineConfig({
  // One build serves every deployment: /config.json has a deployment's settings.
  base: "./",
  build: {
    target: "es2022",
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    sourcemap: false,
  },
  worker: { format: "es" },
  test: {
    include: ["tests/**/*.test.ts", "tests/**/*.test.tsx"],
    // Generous, because a loaded machine is slow.
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
