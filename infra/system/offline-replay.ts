// The offline replay of a checkout: workers/offline-replay with the Python packages of training, which are installed when absent.
import { join } from 'node:path';
import { ensurePythonEnvironment } from '../local/python-environment.ts';
import { trainingPackages } from '../local/python-packages.ts';
import { describeError } from '../local/stack-error.ts';

try {
  process.env.TRAINING_PYTHON ??= join(
    await ensurePythonEnvironment(trainingPackages, (text) => process.stderr.write(`${text}\n`)),
    ...['bin', 'python'],
  );
  await import('#workers/offline-replay/main.ts');
} catch (error) {
  process.stderr.write(`offline-replay: ${describeError(error)}\n`);
  process.exitCode = 1;
}
