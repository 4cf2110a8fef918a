/**
 * Finds the addresses of a name without the thread pool. There `getaddrinfo` runs twice at a time and waits about 20 s for a name server that
 * does not answer: all other names, and all file reads, would wait behind one dead name.
 */
import { type LookupAddress, type lookup, promises } from 'node:dns';

/** Finds the addresses of a name. @throws when there are none, or no name server answered */
export type FindAddresses = (hostname: string) => Promise<readonly LookupAddress[]>;

/** Timeout of each query to a name server, and number of queries. */
const timeoutMs = 2_000;
const tries = 2;

/** Errors that mean that no name server answered. After other errors the system is asked: it may know the name itself. */
const unanswered = new Set(['ETIMEOUT', 'ECANCELLED']);

/**
 * All lookups of the same name share one query. A name that no name server knows may be in `/etc/hosts` or need the search list of the
 * system. The system is then asked, which is quick because the name server has just answered.
 * @param resolver asks name servers, with its own timeout
 * @param ask asks the system, on the thread pool
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

/** The lookup in the form that sockets need. */
export const lookUp = ((hostname: string, options: Options, callback: Found): void => {
  findAddresses(hostname).then(
    (found) => {
      if (options.all) callback(null, [...found]);
      else callback(null, found[0]?.address ?? '', found[0]?.family);
    },
    (error: NodeJS.ErrnoException) => callback(error, []),
  );
}) as typeof lookup;
