// Builds the published package: one minified module for Node and browsers, and its types.
import { execFileSync } from 'node:child_process';
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { rolldown } from 'rolldown';

const folder = import.meta.dirname;
const root = join(folder, '..', '..');
/** The entry and what its declarations name; they import nothing else, so that they stand alone. */
const declarations = ['trialstream', 'types', 'sticky-store'];

/**
 * Properties that no wire format and no public type has, so that they may get short names. Bundle tests run the vectors and both
 * services against the result.
 */
const internalProperties =
  /^(definition|bucketOf|isTargeted|layerBucketOf|holdoutBucketOf|startMs|endMs|forcedVariantOf|forcedVariants|enrolmentShare|fullEnd|servedVariantId|probability|isNew|savedGroups|compileCondition|ignoreCase|negate|ranges|storeRequired|layerId|holdoutId|startsAt|endsAt|isFinal|keysOf|isControl)$/;

export type Bundle = { readonly code: string; readonly modules: readonly string[] };

/** The module as it is published, and the files that are in it. */
export async function bundle(): Promise<Bundle> {
  const build = await rolldown({
    input: join(folder, 'trialstream.ts'),
    // `uuid` brings its own SHA-1 for browsers, and would import node:crypto otherwise.
    platform: 'browser',
    tsconfig: join(folder, 'tsconfig.json'),
  });
  try {
    const { output } = await build.generate({
      format: 'esm',
      minify: { mangleProps: { include: internalProperties } },
      comments: false,
    });
    const [chunk] = output;
    if (output.length !== 1) throw new Error('the client is more than one file');
    return { code: chunk.code, modules: chunk.moduleIds };
  } finally {
    await build.close();
  }
}

async function writeDeclarations(target: string): Promise<void> {
  const temporary = await mkdtemp(join(tmpdir(), 'trialstream-types-'));
  try {
    execFileSync(
      join(root, 'node_modules', '.bin', 'tsc'),
      [
        '-p',
        folder,
        '--noEmit',
        'false',
        '--declaration',
        '--emitDeclarationOnly',
        '--rootDir',
        root,
        '--outDir',
        temporary,
      ],
      { stdio: 'inherit' },
    );
    for (const name of declarations) {
      await cp(join(temporary, 'clients', 'typescript', `${name}.d.ts`), join(target, `${name}.d.ts`));
    }
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

/** Writes the package's `dist` folder. */
export async function buildPackage(target = join(folder, 'dist')): Promise<void> {
  await rm(target, { recursive: true, force: true });
  await mkdir(target, { recursive: true });
  await writeFile(join(target, 'trialstream.js'), (await bundle()).code);
  await writeDeclarations(target);
}

if (import.meta.main) await buildPackage();
