// `npm run check:schemas` checks every schema against its released versions; with --release it adds what is new as the next version.
import { join } from 'node:path';
import { topics } from '#schemas/topics.ts';
import { findHistoryProblems, releaseSchemas } from './schema-history.ts';

const options = {
  catalogue: Object.values(topics),
  schemas: join(import.meta.dirname, '..'),
  folder: import.meta.dirname,
};
if (process.argv.includes('--release')) {
  const written = releaseSchemas(options);
  for (const path of written) process.stdout.write(`wrote ${path}: add a sample record beside it\n`);
  if (written.length === 0) process.stdout.write('every schema is its newest release\n');
}
const problems = findHistoryProblems(options);
for (const problem of problems) process.stdout.write(`${problem}\n`);
process.stdout.write(`schema compatibility: ${problems.length} problems\n`);
process.exitCode = problems.length === 0 ? 0 : 1;
