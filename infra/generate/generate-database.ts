// `npm run generate:database` migrates a fresh database on the local stack and writes what it then looks like.
import { join } from 'node:path';
import { startTemporaryStack } from '#tests/support/temporary-stack.ts';
import { findStack } from '../local/stack-file.ts';
import { readDatabaseCatalog } from './database-catalog.ts';
import { generateDatabaseDocuments } from './database-documents.ts';
import { writeStale } from './generate.ts';
import { withMigratedDatabase } from './migrated-database.ts';

const root = join(import.meta.dirname, '..', '..');
await using resources = new AsyncDisposableStack();
const endpoints = findStack()?.endpoints ?? resources.use(await startTemporaryStack()).endpoints;
const catalog = await withMigratedDatabase(root, endpoints.postgres.superuserUrl, readDatabaseCatalog);
const written = writeStale(root, generateDatabaseDocuments(catalog));
for (const path of written) process.stdout.write(`wrote ${path}\n`);
process.stdout.write(`database documents: ${written.length} changed\n`);
