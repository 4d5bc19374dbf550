// `npm run ops`: the operators' command line, with the settings of the local stack when none are given and one is running.
import { join } from 'node:path';
import { findPythonEnvironment } from '../local/python-environment.ts';
import { trainingPackages } from '../local/python-packages.ts';
import { findStack } from '../local/stack-file.ts';
import { administratorEnvironment } from './environment.ts';
import { deriveLocalAccess } from './local-access.ts';
import { findSystemFile } from './system-file.ts';

const addresses = ['KAFKA_BROKERS', 'SCHEMA_REGISTRY_URL', 'POSTGRES_URL', 'S3_ENDPOINT'];

// Any address given means another system: settings of two systems must never mix.
if (addresses.every((name) => process.env[name] === undefined)) {
  const stack = findStack();
  if (stack !== null) {
    const settings = administratorEnvironment(stack.endpoints, deriveLocalAccess(stack.endpoints));
    const control = findSystemFile(stack.localDir)?.control;
    const local = control === undefined ? {} : { LOCAL_CONTROL_URL: control.url, LOCAL_CONTROL_TOKEN: control.token };
    for (const [name, value] of Object.entries({ ...settings, ...local })) process.env[name] ??= value;
  }
}
const training = await findPythonEnvironment(trainingPackages);
if (training !== null) process.env.TRAINING_PYTHON ??= join(training, 'bin', 'python');
await import('#ops/main.ts');
