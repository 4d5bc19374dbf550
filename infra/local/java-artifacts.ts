// Fetches the jars of the Java components with Maven, once per change of the poms, into the shared cache.
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { findJava, findMaven } from './java.ts';
import { runProgram } from './lifeline.ts';
import { cacheDir, repositoryRoot } from './local-dir.ts';
import { withLock } from './process-lock.mjs';
import { StackError } from './stack-error.ts';

const unfinishedSuffix = '.unfinished';
const pomDir = join(repositoryRoot, 'infra', 'local', 'maven');

export type JavaArtifacts = { readonly java: string; readonly dir: string };

/** Java, and the folder with one sub-folder of jars per pom; fetched when absent or when a pom changed. */
export async function ensureJavaArtifacts(onProgress: (text: string) => void = () => {}): Promise<JavaArtifacts> {
  const java = await findJava();
  const dir = join(cacheDir, `java-${await hashPoms()}`);
  if (!existsSync(dir)) {
    await withLock(join(cacheDir, 'java.lock'), async () => {
      if (existsSync(dir)) return;
      const maven = await findMaven();
      onProgress('fetching the Java components with Maven (once, about 250 MB)');
      await fetchWithMaven(maven, dir);
    });
  }
  return { java, dir };
}

async function hashPoms(): Promise<string> {
  const hash = createHash('sha256');
  for (const name of (await readdir(pomDir)).filter((name) => name.endsWith('.xml')).sort()) {
    hash.update(`${name}\n`).update(await readFile(join(pomDir, name)));
  }
  return hash.digest('hex').slice(0, 12);
}

async function fetchWithMaven(maven: string, dir: string): Promise<void> {
  // The folder gets its name only when it is whole: an interrupted fetch leaves nothing that looks finished.
  await removeUnfinished();
  const unfinished = `${dir}.${process.pid}${unfinishedSuffix}`;
  await mkdir(unfinished, { recursive: true });
  const logPath = join(cacheDir, 'maven.log');
  try {
    await runProgram({
      file: maven,
      args: ['--batch-mode', '--file', join(pomDir, 'pom.xml'), `-Dcache=${unfinished}`, 'package'],
      // Maven's own settings: its home, its repository, the proxy.
      env: Object.fromEntries(Object.entries(process.env).filter((entry): entry is [string, string] => !!entry[1])),
      cwd: repositoryRoot,
      logPath,
    });
  } catch (error) {
    throw new StackError(
      `Maven could not fetch the Java components (it needs the network, once). ${(error as Error).message}`,
      { cause: error },
    );
  }
  await rename(unfinished, dir);
}

// Older finished folders stay: a stack that runs may still read its jars.
async function removeUnfinished(): Promise<void> {
  for (const name of await readdir(cacheDir)) {
    if (name.endsWith(unfinishedSuffix)) await rm(join(cacheDir, name), { recursive: true, force: true });
  }
}

export type JavaCommand = { readonly file: string; readonly args: readonly string[] };

/** The command line of one of Kafka's own tools, such as `org.apache.kafka.tools.consumer.ConsoleConsumer`. */
export async function kafkaToolCommand(mainClass: string, toolArgs: readonly string[]): Promise<JavaCommand> {
  const { java, dir } = await ensureJavaArtifacts();
  return {
    file: java,
    args: [
      '-Xmx256m',
      '-XX:+UseSerialGC',
      // Short runs: compiling more would take longer than it saves.
      '-XX:TieredStopAtLevel=1',
      '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn',
      '-cp',
      join(dir, 'kafka-tools', '*'),
      mainClass,
      ...toolArgs,
    ],
  };
}
