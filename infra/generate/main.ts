// `npm run generate` writes the generated files; with --check it fails when one of them is stale and changes nothing.
import { join } from 'node:path';
import { findStale, generateAll, writeStale } from './generate.ts';

const root = join(import.meta.dirname, '..', '..');
const files = await generateAll(root);
if (process.argv.includes('--check')) {
  const stale = findStale(root, files);
  for (const line of stale) process.stdout.write(`${line}\n`);
  process.stdout.write(
    stale.length === 0
      ? `generated files: ${files.length} fresh\n`
      : 'generated files are stale: run "npm run generate"\n',
  );
  process.exitCode = stale.length === 0 ? 0 : 1;
} else {
  const written = writeStale(root, files);
  for (const path of written) process.stdout.write(`wrote ${path}\n`);
  process.stdout.write(`generated files: ${written.length} of ${files.length} changed\n`);
}
