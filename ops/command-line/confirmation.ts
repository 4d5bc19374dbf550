// The confirmation of a destructive step: its name typed at a terminal, or --yes.
import { createInterface } from 'node:readline/promises';
import { FatalError } from '#platform/errors.ts';

/** @throws FatalError when there is no terminal to ask at, or when something else is typed. */
export async function confirmByName(
  name: string,
  options: { yes: boolean; input: NodeJS.ReadStream; output: NodeJS.WriteStream },
): Promise<void> {
  if (options.yes) return;
  if (options.input.isTTY !== true) {
    throw new FatalError(`nothing was done: this needs a confirmation. Give --yes, or type "${name}" at a terminal`, {
      code: 'config-invalid',
    });
  }
  const lines = createInterface({ input: options.input, output: options.output });
  try {
    const typed = await lines.question(`Type ${name} to go on: `);
    if (typed.trim() !== name) throw new FatalError('nothing was done: not confirmed', { code: 'config-invalid' });
  } finally {
    lines.close();
  }
}
