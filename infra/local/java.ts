// Finds Java and Maven, and says in one sentence what is missing.
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { StackError } from './stack-error.ts';

const execFileAsync = promisify(execFile);
export const oldestJava = 17;

/** The feature release in the output of `java -version`: 17 for "17.0.15", 8 for "1.8.0_402". */
export function parseJavaVersion(output: string): number | undefined {
  const match = /version "(\d+)(?:\.(\d+))?/.exec(output);
  if (match === null) return undefined;
  const [, first, second] = match;
  return first === '1' && second !== undefined ? Number(second) : Number(first);
}

/** The version in the output of `mvn --version`, which may hold terminal colors. */
export function parseMavenVersion(output: string): string | undefined {
  return /Apache Maven (\d+\.\d+(?:\.\d+)?)/.exec(output)?.[1];
}

/** A program of the JDK: that of JAVA_HOME, else the one on the PATH. */
export function homeOrPath(program: string): string {
  const home = process.env.JAVA_HOME;
  const candidate = home === undefined || home === '' ? undefined : join(home, 'bin', program);
  return candidate !== undefined && existsSync(candidate) ? candidate : program;
}

/** The java to run. @throws StackError when there is none, or it is too old. */
export async function findJava(): Promise<string> {
  const java = homeOrPath('java');
  const output = await execFileAsync(java, ['-version']).then(
    ({ stdout, stderr }) => stdout + stderr,
    () => undefined,
  );
  const version = output === undefined ? undefined : parseJavaVersion(output);
  if (version === undefined) {
    throw new StackError(
      `No Java found: install a JDK ${oldestJava} or later (Debian: apt install default-jdk-headless) so that "java" is on the PATH, or set JAVA_HOME.`,
    );
  }
  if (version < oldestJava) {
    throw new StackError(
      `Java ${version} is too old: install a JDK ${oldestJava} or later and put it first on the PATH, or set JAVA_HOME.`,
    );
  }
  return java;
}

/** The mvn to run. @throws StackError when there is none. */
export async function findMaven(): Promise<string> {
  const output = await execFileAsync('mvn', ['--version']).then(
    ({ stdout }) => stdout,
    () => undefined,
  );
  if (output === undefined || parseMavenVersion(output) === undefined) {
    throw new StackError(
      'No Maven found: install it (Debian: apt install maven) so that "mvn" is on the PATH; it fetches Kafka, the schema registry and the S3 server.',
    );
  }
  return 'mvn';
}
