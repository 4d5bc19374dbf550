// How the service says no: the same way as its neighbors.
export * from '#api/request-error.ts';
