/** Folders below DATA_DIR. Errors with them name the setting and say what to do. */
import { mkdir, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';

/** Codes of errno(3) that mean a fault of the folder or a file in it. */
const reasons: Readonly<Record<string, string>> = {
  EEXIST: 'is there and is not a folder',
  ENOTDIR: 'lies below a file',
  EISDIR: 'is a folder and should be a file',
  ENOENT: 'cannot be made or found',
  EACCES: 'may not be read or written by this user',
  EPERM: 'may not be read or written by this user',
  EROFS: 'is on a file system that cannot be written',
  ENOSPC: 'is on a file system that is full',
  EDQUOT: 'is on a file system that is full for this user',
  ELOOP: 'is a link to itself',
};

/** @throws Error that names DATA_DIR, instead of one about a file */
export async function inDataDir<T>(dataDir: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const { code = '', path } = error as NodeJS.ErrnoException;
    const reason = reasons[code];
    if (reason === undefined || path === undefined) throw error;
    throw new Error(
      `DATA_DIR (${resolve(dataDir)}) cannot be used: ${resolve(path)} ${reason}. Set DATA_DIR to a folder this user may read and write.`,
      { cause: error },
    );
  }
}

/** Makes a folder and its parents, for the owner only. Node's own `recursive` never returns where no folder can be made, such as in /proc. */
export async function makeFolder(path: string): Promise<void> {
  const trouble = await tryMakeFolder(path);
  if (trouble === null) return;
  if (trouble.code !== 'ENOENT' || dirname(path) === path) throw trouble;
  await makeFolder(dirname(path));
  const again = await tryMakeFolder(path);
  if (again !== null) throw again;
}

async function tryMakeFolder(path: string): Promise<NodeJS.ErrnoException | null> {
  try {
    await mkdir(path, { mode: 0o700 });
    return null;
  } catch (error) {
    const isThere = await stat(path).then(
      (found) => found.isDirectory(),
      () => false,
    );
    return isThere ? null : (error as NodeJS.ErrnoException);
  }
}
