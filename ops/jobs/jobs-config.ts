// Settings of the commands that submit jobs and look at them.
import { kafkaSettings, queueRedisSetting } from '#platform/config/common-settings.ts';
import { defineConfig } from '#platform/config/settings.ts';

export const jobsConfig = defineConfig({ redisUrl: queueRedisSetting, namespace: kafkaSettings.namespace });
