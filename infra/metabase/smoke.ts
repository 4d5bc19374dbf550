// `npm run metabase:smoke`: the dashboards in a real Metabase, for people with Docker. Starts the profiles core and bi of
// docker-compose.yml as a project of its own, provisions twice, runs every card, and removes everything again.
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseEnv } from 'node:util';

const root = join(import.meta.dirname, '..', '..');
const folder = mkdtempSync(join(tmpdir(), 'trialstream-smoke-'));
const environmentFile = join(folder, 'env');
const isKept = process.argv.includes('--keep');

function compose(...args: string[]): string {
  const all = ['compose', '--project-name', 'trialstream-smoke', '--env-file', environmentFile];
  const profiles = ['--profile', 'core', '--profile', 'bi'];
  const { status, stdout, error } = spawnSync('docker', [...all, ...profiles, ...args], {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (error !== undefined) throw new Error(`docker cannot be started: ${error.message}`);
  if (status !== 0) throw new Error(`docker compose ${args.join(' ')} ended with ${status}:\n${stdout}`);
  return stdout;
}

/** Every variable of the example, with a value for each secret. Passwords get a digit and a letter, which Metabase asks for. */
function writeEnvironment(): void {
  const example = parseEnv(readFileSync(join(root, '.env.example'), 'utf8'));
  const lines = Object.entries(example)
    .filter(([name]) => name !== 'COMPOSE_PROFILES')
    .map(([name, value]) => `${name}=${value === '' ? `a1${randomBytes(24).toString('hex')}` : value}`);
  writeFileSync(environmentFile, `${lines.join('\n')}\n`, { mode: 0o600 });
}

const inSetup = (...args: string[]): string =>
  compose('run', '--rm', '--no-TTY', '--no-deps', 'metabase-setup', 'node', 'ops/main.ts', 'metabase', ...args);

/** It may have ended before anybody looks, so its state is asked for instead of waiting for its end. */
async function waitForSetup(): Promise<void> {
  for (let left = 300; left > 0; left -= 1) {
    const [line = '{}'] = compose('ps', '--all', '--format', 'json', 'metabase-setup').trim().split('\n');
    const { State: state, ExitCode: code } = JSON.parse(line === '' ? '{}' : line) as {
      State?: string;
      ExitCode?: number;
    };
    if (state === 'exited' && code === 0) return;
    if (state === 'exited') throw new Error(`metabase-setup ended with ${code}:\n${compose('logs', 'metabase-setup')}`);
    await delay(2_000);
  }
  throw new Error(`metabase-setup did not end in 10 minutes:\n${compose('logs', 'metabase-setup')}`);
}

function requireEqual(what: string, found: unknown, expected: unknown): void {
  if (JSON.stringify(found) !== JSON.stringify(expected))
    throw new Error(`${what}: found ${JSON.stringify(found)}, expected ${JSON.stringify(expected)}`);
  process.stdout.write(`ok: ${what}\n`);
}

function requireDocker(): void {
  for (const args of [
    ['compose', 'version'],
    ['info', '--format', '{{.ServerVersion}}'],
  ]) {
    const { status } = spawnSync('docker', args, { stdio: 'ignore' });
    if (status === 0) continue;
    process.stderr.write(`"docker ${args[0]}" does not work here: this needs Docker with Compose 2.20 or newer\n`);
    rmSync(folder, { recursive: true, force: true });
    process.exit(1);
  }
}

requireDocker();
writeEnvironment();
try {
  compose('up', '--build', '--detach');
  await waitForSetup();
  process.stdout.write('ok: the first run of metabase-setup ended well\n');
  const { changes } = JSON.parse(inSetup('apply', '--json')) as { changes: unknown[] };
  requireEqual('a second run changes nothing', changes, []);
  const { cards } = JSON.parse(inSetup('check', '--json')) as { cards: { card: string; error: string | null }[] };
  requireEqual(
    `${cards.length} cards run in Metabase`,
    cards.filter(({ error }) => error !== null),
    [],
  );
} finally {
  if (isKept)
    process.stdout.write(`kept: docker compose --project-name trialstream-smoke, settings in ${environmentFile}\n`);
  else {
    try {
      compose('down', '--volumes', '--remove-orphans');
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
}
