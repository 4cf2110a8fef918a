/** How the tests run: `fast` is `npm test`, `chaos` is `npm run test:chaos`. */
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

// What Node.js makes of our sources is kept from process to process: tests start hundreds, each of which takes half the CPU to start then.
process.env.NODE_COMPILE_CACHE ??= fileURLToPath(new URL('../node_modules/.cache/compiled', import.meta.url));

const shared = {
  root: new URL('..', import.meta.url).pathname,
  setupFiles: ['test/support/no-leaks.ts'],
  // Importing a file of ours does nothing, so that test files may share what one of them has imported: a quarter less to compute.
  isolate: false,
};

export default defineConfig({
  test: {
    // Most of a test's time is spent waiting for processes, not on a core.
    maxWorkers: 4,
    reporters: process.env.CI ? ['default'] : ['dot'],
    projects: [
      {
        test: {
          ...shared,
          name: 'fast',
          include: ['test/**/*.test.ts'],
          exclude: ['test/chaos/**'],
          // Four files at a time on two cores: what fails once is run once more, and counted as flaky in the report.
          retry: 1,
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          ...shared,
          name: 'chaos',
          include: ['test/chaos/**/*.test.ts'],
          testTimeout: 300_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
});
