// `ops deploy | migrate`: brings an environment to this release.
import type { Command } from 'commander';
import { createLogger } from '#platform/telemetry/logger.ts';
import type { CommandLine } from './command-line/command-line.ts';
import { applyCatalogue, applyMigrations, registerSchemas } from './deploy.ts';
import { deployConfig } from './deploy-config.ts';

export function addDeployCommands(program: Command, line: CommandLine): void {
  const printMigrations = (applied: readonly string[]): void =>
    line.print(applied.length === 0 ? 'migrations: up to date' : `migrations: applied ${applied.join(', ')}`);

  program
    .command('deploy')
    .description('bring database, topics and schemas to this release (safe to repeat)')
    .action(async () => {
      const config = line.settingsOf(deployConfig);
      const log = createLogger({ service: 'ops', level: config.telemetry.logLevel });
      printMigrations(await applyMigrations(config));
      const { created, differences } = await applyCatalogue(config, log);
      line.print(created.length === 0 ? 'topics: all exist' : `topics: created ${created.join(', ')}`);
      for (const { topic, setting, found, expected } of differences)
        line.print(`topics: ${topic} has ${setting}=${found}, the catalogue says ${expected}`);
      for (const { subject, id } of await registerSchemas(config)) line.print(`schemas: ${subject} has id ${id}`);
    });

  program
    .command('migrate')
    .description('apply the migrations only')
    .action(async () => printMigrations(await applyMigrations(line.settingsOf(deployConfig))));
}
