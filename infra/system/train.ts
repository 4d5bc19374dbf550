// `npm run train -- --dataset VERSION …`: training/train_planner.py in its own environment, with the settings of the local stack.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { ensurePythonEnvironment } from '../local/python-environment.ts';
import { trainingPackages } from '../local/python-packages.ts';
import { describeError } from '../local/stack-error.ts';
import { findStack } from '../local/stack-file.ts';
import { mlflowEnvironment, objectStoreEnvironment } from './environment.ts';

const program = join(import.meta.dirname, '..', '..', 'training', 'train_planner.py');

try {
  const folder = await ensurePythonEnvironment(trainingPackages, (text) => process.stderr.write(`${text}\n`));
  const stack = findStack();
  const settings =
    stack === null ? {} : { ...objectStoreEnvironment(stack.endpoints), ...mlflowEnvironment(stack.endpoints) };
  const child = spawn(join(folder, 'bin', 'python'), [program, ...process.argv.slice(2)], {
    stdio: 'inherit',
    // Given settings win. One thread is many times faster for a small model.
    env: { OMP_NUM_THREADS: '1', ...settings, ...process.env },
  });
  child.on('close', (exitCode) => {
    process.exitCode = exitCode ?? 1;
  });
} catch (error) {
  process.stderr.write(`${describeError(error)}\n`);
  process.exitCode = 1;
}
