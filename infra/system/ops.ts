// `npm run ops`: the operators' command line, with the settings of the local stack when none are given and one is running.
import { findStack } from '../local/stack-file.ts';
import { administratorEnvironment } from './environment.ts';
import { deriveLocalAccess } from './local-access.ts';

const addresses = ['KAFKA_BROKERS', 'SCHEMA_REGISTRY_URL', 'POSTGRES_URL', 'S3_ENDPOINT'];

// Any address given means another system: settings of two systems must never mix.
if (addresses.every((name) => process.env[name] === undefined)) {
  const stack = findStack();
  if (stack !== null) {
    const settings = administratorEnvironment(stack.endpoints, deriveLocalAccess(stack.endpoints));
    for (const [name, value] of Object.entries(settings)) process.env[name] ??= value;
  }
}
await import('#ops/main.ts');
