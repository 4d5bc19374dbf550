// Runs a .ts file with the Node of package.json, after installing the packages when they are missing or out of date; plain JS for Node 20 with nothing installed.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const oldestNode = 20;
const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const modules = join(root, 'node_modules');
const bin = join(modules, '.bin');
const stampFile = join(modules, '.trialstream-stamp');

function fail(message) {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}

function packagesStamp() {
  const hash = createHash('sha256').update(`${process.platform}-${process.arch}\n`);
  for (const file of ['package-lock.json', '.npmrc']) {
    if (existsSync(join(root, file))) hash.update(readFileSync(join(root, file)));
  }
  return hash.digest('hex');
}

// npm writes node_modules/.package-lock.json at the end of each install: a tree that someone brought up to date by hand has every version in it.
function holdsEveryPackage() {
  const installedFile = join(modules, '.package-lock.json');
  if (!existsSync(installedFile) || !existsSync(join(bin, 'node'))) return false;
  const installed = JSON.parse(readFileSync(installedFile, 'utf8')).packages;
  const wanted = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages;
  return Object.entries(wanted).every(
    ([path, entry]) => path === '' || entry.optional || installed[path]?.version === entry.version,
  );
}

const isInstalled = (stamp) =>
  existsSync(stampFile) && existsSync(join(bin, 'node')) && readFileSync(stampFile, 'utf8') === stamp;

async function installPackages() {
  const stamp = packagesStamp();
  if (isInstalled(stamp)) return;
  const { withLock } = await import('./process-lock.mjs');
  await withLock(join(root, '.local', 'npm-install.lock'), async () => {
    if (isInstalled(stamp)) return;
    if (!holdsEveryPackage()) {
      process.stderr.write('Installing the packages of package-lock.json (npm ci) ...\n');
      // stdout belongs to the command (it may print JSON): npm's goes to stderr.
      // Not as quiet as a caller's npm run --silent would have it: errors must be seen.
      const code = await run('npm', ['ci', '--no-progress', '--loglevel=error'], ['ignore', 2, 2]);
      if (code !== 0) {
        throw new Error('npm ci failed: see above. It needs the network, once; run the command again when that works.');
      }
    }
    writeFileSync(stampFile, stamp);
  });
}

// Ctrl-C reaches the whole foreground group, so the child gets it from the terminal too; other senders signal this process only.
function run(command, args, stdio, env = process.env) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio, env, cwd: command === 'npm' ? root : process.cwd() });
    const forward = (signal) => child.kill(signal);
    const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
    for (const signal of signals) process.on(signal, forward);
    child.on('error', reject);
    child.on('exit', (code, signal) => {
      for (const name of signals) process.off(name, forward);
      resolve(code ?? 128 + constants.signals[signal]);
    });
  });
}

const [script, ...args] = process.argv.slice(2);
if (script === undefined) fail('usage: node infra/local/bootstrap.mjs FILE.ts [arguments]');
if (Number(process.versions.node.split('.')[0]) < oldestNode) {
  fail(`Trialstream needs Node ${oldestNode} or later; this is Node ${process.versions.node}.`);
}
try {
  await installPackages();
  // kafkajs computes negative timeouts; Node says so on each start, and nothing is wrong.
  process.exitCode = await run(
    join(bin, 'node'),
    ['--disable-warning=TimeoutNegativeWarning', script, ...args],
    'inherit',
    {
      ...process.env,
      PATH: `${bin}${delimiter}${process.env.PATH ?? ''}`,
    },
  );
} catch (error) {
  fail(
    error.code === 'ENOENT' && error.path === 'npm'
      ? 'No npm found: install Node with npm, so that "npm" is on the PATH.'
      : error.message,
  );
}
