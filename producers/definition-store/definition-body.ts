// Moved to domain/definitions; this name stays until its importers in api/ have followed.
export * from '#domain/definitions/definition-body.ts';
