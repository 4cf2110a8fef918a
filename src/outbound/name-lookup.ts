/**
 * Finds the addresses of a name without the thread pool. There `getaddrinfo` runs twice at a time and waits some 20 s for a name server that
 * does not answer: one dead name would keep every other name, and each file that is read, waiting behind it.
 */
import { type LookupAddress, type lookup, promises } from 'node:dns';

/** How the addresses of a name are found. @throws when there are none, or nobody answered */
export type FindAddresses = (hostname: string) => Promise<readonly LookupAddress[]>;

/** Of each question to a name server, and how often it is asked. */
const timeoutMs = 2_000;
const tries = 2;

/** The name server was not reached, or is none: the system may know a name by itself. */
const unanswered = new Set(['ETIMEOUT', 'ECANCELLED']);

/**
 * A name that is being looked up already is waited for by all who ask. One that no name server knows may stand in `/etc/hosts`, or need the
 * search list of the system: that is asked then, which goes quickly, as the name server just answered.
 * @param resolver with a timeout of its own
 * @param ask the system; on the thread pool
 */
export function makeFindAddresses(
  resolver: Pick<promises.Resolver, 'resolve4' | 'resolve6'>,
  ask: FindAddresses,
): FindAddresses {
  const underWay = new Map<string, Promise<readonly LookupAddress[]>>();

  async function find(hostname: string): Promise<readonly LookupAddress[]> {
    const answers = await Promise.allSettled([resolver.resolve4(hostname), resolver.resolve6(hostname)]);
    const found = answers.flatMap((answer, index): LookupAddress[] =>
      answer.status === 'fulfilled' ? answer.value.map((address) => ({ address, family: index === 0 ? 4 : 6 })) : [],
    );
    if (found.length > 0) return found;
    const silent = answers.find((answer) => answer.status === 'rejected' && unanswered.has(answer.reason?.code));
    if (silent?.status === 'rejected') throw silent.reason;
    return ask(hostname);
  }

  return (hostname) => {
    const known = underWay.get(hostname);
    if (known !== undefined) return known;
    const finding = find(hostname).finally(() => underWay.delete(hostname));
    underWay.set(hostname, finding);
    return finding;
  };
}

const askSystem: FindAddresses = async (hostname) => await promises.lookup(hostname, { all: true });

const findAddresses = makeFindAddresses(new promises.Resolver({ timeout: timeoutMs, tries }), askSystem);

type Options = { readonly all?: boolean | undefined };
type Found = (error: NodeJS.ErrnoException | null, address: string | LookupAddress[], family?: number) => void;

/** In the form in which sockets ask for it. */
export const lookUp = ((hostname: string, options: Options, callback: Found): void => {
  findAddresses(hostname).then(
    (found) => {
      if (options.all) callback(null, [...found]);
      else callback(null, found[0]?.address ?? '', found[0]?.family);
    },
    (error: NodeJS.ErrnoException) => callback(error, []),
  );
}) as typeof lookup;
