/** check-redis: judges what the present Redis guarantees, and reports each change: another server may take its place. */
import { judgeRedis, type RedisStanding } from '../domain/redis-standing.ts';
import type { Server } from '../store/server.ts';

type Deps = {
  server: Pick<Server, 'facts'>;
  mustBeDurable: boolean;
  /** Written at each check, read by the routes that refuse mail or report health. */
  seen: SeenRedis;
  report(standing: RedisStanding): void;
};

/** The result of the last check; null before the first. */
export type SeenRedis = { standing: RedisStanding | null };

/** @throws when Redis is away */
export async function checkRedis({ server, mustBeDurable, seen, report }: Deps): Promise<RedisStanding> {
  const standing = judgeRedis(await server.facts(), mustBeDurable);
  const { standing: before } = seen;
  seen.standing = standing;
  if (standing.server !== before?.server || standing.words !== before.words) report(standing);
  return standing;
}
