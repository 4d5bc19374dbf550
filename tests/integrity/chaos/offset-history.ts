// Records every move of a group's position in the test database, from outside: each must begin where the one before it ended.
import type { Pool } from '#platform/postgres/pool.ts';

/** Must run before the groups start. Their roles need no right to it: the trigger writes as its owner. */
export async function recordOffsetMoves(pool: Pool): Promise<void> {
  await pool.query(`
    CREATE SCHEMA watched;
    CREATE TABLE watched.offset_moves (
      id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, consumer_group text, kafka_partition int, from_offset bigint, to_offset bigint);
    CREATE FUNCTION watched.note_move() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
      BEGIN
        INSERT INTO watched.offset_moves (consumer_group, kafka_partition, from_offset, to_offset)
        VALUES (NEW.consumer_group, NEW.kafka_partition, OLD.next_offset, NEW.next_offset);
        RETURN NULL;
      END $$;
    CREATE TRIGGER note_move AFTER UPDATE OF next_offset ON exp.consumer_offsets
      FOR EACH ROW EXECUTE FUNCTION watched.note_move()`);
}

/**
 * Moves that do not go forward, each in words. A row's update sees the row as the update before it left it, so a chain cannot have a
 * gap; what a missing fence does is to set a position back.
 */
export async function findBackwardMoves(pool: Pool): Promise<string[]> {
  const found = await pool.query<{ g: string; p: number; f: bigint; t: bigint }>(
    `SELECT consumer_group AS g, kafka_partition AS p, from_offset AS f, to_offset AS t FROM watched.offset_moves
     WHERE to_offset < from_offset ORDER BY id`,
  );
  return found.rows.map(({ g, p, f, t }) => `${g} partition ${p} went back from ${f} to ${t}`);
}
