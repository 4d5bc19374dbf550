// `ops keys create | list | revoke`.
import { type Command, InvalidArgumentError } from 'commander';
import { withDefinitions } from '../apply/open-definitions.ts';
import type { CommandLine } from '../command-line/command-line.ts';
import { formatTable, toJson } from '../command-line/output.ts';
import { type ApiKeyScope, apiKeyScopes, createApiKey, listApiKeys, revokeApiKey } from './api-keys.ts';

function parseScopes(text: string): ApiKeyScope[] {
  return text.split(',').map((name) => {
    const scope = apiKeyScopes.find((known) => known === name.trim());
    if (scope === undefined) throw new InvalidArgumentError(`${name} is not one of ${apiKeyScopes.join(', ')}`);
    return scope;
  });
}

function parseName(text: string): string {
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/.test(text)) {
    throw new InvalidArgumentError('expected a name of letters, digits, dots, _ and -');
  }
  return text;
}

export function addKeyCommands(program: Command, commandLine: CommandLine): void {
  const { print, note, actor } = commandLine;
  const keys = program.command('keys').description('API keys of the services');

  keys
    .command('create')
    .description('make a key and print it, this once')
    .argument('<name>', 'who will use it', parseName)
    .requiredOption('--scopes <list>', `comma-separated: ${apiKeyScopes.join(', ')}`, parseScopes)
    .action((name: string, { scopes }: { scopes: ApiKeyScope[] }) =>
      withDefinitions(commandLine, async ({ pool }) => {
        const secret = await createApiKey(pool, { name, scopes, actor });
        note(`key ${name} with ${scopes.join(', ')}: keep it now, it cannot be shown again`);
        print(secret);
      }),
    );

  keys
    .command('list')
    .description('names, scopes and dates of all keys')
    .option('--json', 'one JSON object', false)
    .action(({ json }: { json: boolean }) =>
      withDefinitions(commandLine, async ({ pool }) => {
        const listed = await listApiKeys(pool);
        if (json) return print(toJson({ keys: listed }));
        const rows = listed.map((key) => [key.name, key.scopes.join(', '), key.createdAt, key.revokedAt]);
        print(formatTable(['name', 'scopes', 'created', 'revoked'], rows));
      }),
    );

  keys
    .command('revoke')
    .description('make a key invalid, for good')
    .argument('<name>')
    .action((name: string) =>
      withDefinitions(commandLine, async ({ pool }) => {
        const isNew = await revokeApiKey(pool, { name, actor });
        print(isNew ? `${name} is revoked: services refuse it within a second` : `${name} was already revoked`);
      }),
    );
}
