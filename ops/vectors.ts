// Runs every vector file found below a folder: `npm run -s vectors -- DIR`; its last line is `N passed, M failed`.
import { vectorKinds } from './vectors/kinds.ts';
import { runVectorFiles, type VectorRun } from './vectors/run-vector-files.ts';

function main(): void {
  const directories = process.argv.slice(2);
  const directory = directories[0];
  if (directory === undefined || directories.length > 1) {
    process.stderr.write('Usage: npm run -s vectors -- DIR\n');
    process.exitCode = 2;
    return;
  }
  let run: VectorRun;
  try {
    run = runVectorFiles(directory, vectorKinds);
  } catch (error) {
    process.stderr.write(`${directory} cannot be read: ${error instanceof Error ? error.message : String(error)}\n`);
    run = { files: [], ignored: [], passed: 0, failed: 0 };
  }
  for (const path of run.ignored) process.stderr.write(`ignored: ${path} (no kind of vector file has this name)\n`);
  if (run.files.length === 0) process.stderr.write(`No vector file was found below ${directory}\n`);
  for (const file of run.files) {
    process.stdout.write(`${file.path}: ${file.passed} passed, ${file.failed} failed\n`);
    for (const failure of file.failures) process.stdout.write(`  failed: ${failure}\n`);
    const unshown = file.failed - file.failures.length;
    if (unshown > 0) process.stdout.write(`  and ${unshown} more\n`);
  }
  process.stdout.write(`${run.passed} passed, ${run.failed} failed\n`);
  process.exitCode = run.failed > 0 || run.files.length === 0 ? 1 : 0;
}

main();
