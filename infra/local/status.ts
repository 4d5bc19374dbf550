// `npm run status`: the state of each component, seen by using it; exits with 1 when one is not healthy.
import { parseArgs } from 'node:util';
import { defaultLocalDir } from './local-dir.ts';
import { isAlive } from './process-lock.mjs';
import { describeError } from './stack-error.ts';
import { findStackFile } from './stack-file.ts';
import { checkComponents, describeStatus } from './status-report.ts';

try {
  const { values } = parseArgs({ options: { json: { type: 'boolean', default: false } } });
  const localDir = defaultLocalDir();
  const file = findStackFile(localDir);
  if (file === null || !isAlive(file.supervisor)) {
    console.log(
      values.json
        ? JSON.stringify({ phase: 'down', localDir, components: [] })
        : `No local stack is running in ${localDir}: start it with "npm run up".`,
    );
    process.exitCode = 1;
  } else {
    const statuses = await checkComponents(file);
    const { phase, startedAt } = file;
    console.log(
      values.json
        ? JSON.stringify({ phase, localDir, startedAt, components: statuses }, null, 2)
        : `${phase} since ${startedAt}\n\n${describeStatus(statuses)}`,
    );
    process.exitCode = phase === 'ready' && statuses.every(({ state }) => state === 'healthy') ? 0 : 1;
  }
} catch (error) {
  console.error(describeError(error));
  process.exitCode = 1;
}
