// `npm run check` and `npm test`: every check in order, then one closing line with the number of tests and checks.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const bin = join(root, 'node_modules', '.bin');
const quick = process.argv.includes('--quick');
let passed = 0;
let failed = 0;

function run(file: string, args: readonly string[]): boolean {
  const result = spawnSync(file, args, {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, PATH: `${bin}:${process.env.PATH ?? ''}`, NODE_NO_WARNINGS: '1' },
  });
  if (result.error !== undefined) throw result.error;
  return result.status === 0;
}

function check(name: string, file: string, args: readonly string[]): void {
  process.stdout.write(`\n== ${name}\n`);
  if (run(file, args)) passed += 1;
  else failed += 1;
}

/** Runs Vitest and adds its own counts; a run that fails without a failed test counts as one. */
function test(projects: readonly string[]): void {
  process.stdout.write(`\n== tests: ${projects.join(', ')}\n`);
  const folder = mkdtempSync(join(tmpdir(), 'trialstream-results-'));
  const report = join(folder, 'results.json');
  const ok = run(join(bin, 'vitest'), [
    'run',
    ...projects.flatMap((project) => ['--project', project]),
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${report}`,
  ]);
  try {
    const results = JSON.parse(readFileSync(report, 'utf8')) as {
      numPassedTests: number;
      numFailedTests: number;
      numPendingTests: number;
    };
    passed += results.numPassedTests;
    // A test that did not run is not a test that passed.
    failed += results.numFailedTests + results.numPendingTests;
    if (!ok && results.numFailedTests === 0) failed += 1;
  } catch (error) {
    process.stderr.write(`Vitest left no results: ${(error as Error).message}\n`);
    failed += 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

check('types', join(bin, 'tsc'), ['-p', '.']);
check('lint and format', join(bin, 'biome'), ['check', '.']);
check('boundaries', process.execPath, ['infra/checks/check-boundaries.ts']);
check('schema compatibility', process.execPath, ['schemas/history/main.ts']);
check('generated files', process.execPath, ['infra/generate/main.ts', '--check']);
test(quick ? ['unit'] : ['unit', 'integration', 'integrity', 'end-to-end']);
process.stdout.write(`\n${passed} passed, ${failed} failed\n`);
process.exitCode = failed === 0 ? 0 : 1;
