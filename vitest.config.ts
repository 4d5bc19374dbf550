// Test layers: unit (pure, no network), integration and integrity (real components of the local stack), end-to-end.
import { defineConfig } from 'vitest/config';

const ignored = ['**/node_modules/**', '.local/**'];

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          sequence: { groupOrder: 0 },
          include: ['**/*.test.ts'],
          exclude: [...ignored, '**/*.integration.test.ts', 'tests/integrity/**', 'tests/end-to-end/**'],
          testTimeout: 20_000,
          // Some prepare a whole simulated world once, which takes a while on a busy machine.
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'integration',
          sequence: { groupOrder: 1 },
          include: ['**/*.integration.test.ts'],
          exclude: ignored,
          globalSetup: ['tests/support/stack-setup.ts'],
          testTimeout: 60_000,
          hookTimeout: 120_000,
          maxWorkers: 2,
        },
      },
      {
        test: {
          name: 'integrity',
          sequence: { groupOrder: 2 },
          include: ['tests/integrity/**/*.test.ts'],
          exclude: ignored,
          globalSetup: ['tests/support/stack-setup.ts'],
          testTimeout: 300_000,
          hookTimeout: 180_000,
          maxWorkers: 1,
        },
      },
      {
        test: {
          name: 'end-to-end',
          sequence: { groupOrder: 3 },
          include: ['tests/end-to-end/**/*.test.ts'],
          exclude: ignored,
          testTimeout: 600_000,
          hookTimeout: 600_000,
          maxWorkers: 1,
        },
      },
    ],
  },
});
