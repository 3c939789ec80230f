/* Let the calls number $FAIL_AT up to $FAIL_AT + $FAIL_TIMES - 1 fail, of those that $FAIL_WHAT names
 * and that concern a file below $FAIL_ROOT: w writes, s syncs, t truncations, o creations, u removals.
 * $FAIL_HOW is an errno, or "short" for a write of which the disk takes only the first half. With
 * $FAIL_WHILE, all that is so only while there is a file of that name.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#define REAL(name) ((typeof(&name))dlsym(RTLD_NEXT, #name))

static int is_below_root(const char *path) {
    const char *root = getenv("FAIL_ROOT");
    return root && !strncmp(path, root, strlen(root));
}

static int is_ours(int fd) {
    if (!getenv("FAIL_ROOT")) return 0;
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1);
    path[size < 0 ? 0 : size] = 0;
    return is_below_root(path);
}

/* Whether this call is one that fails; errno is set then, or 0 for a short write. */
static int fails(char what) {
    static int calls;
    const char *kinds = getenv("FAIL_WHAT"), *how = getenv("FAIL_HOW"), *flag = getenv("FAIL_WHILE");
    if (!kinds || !strchr(kinds, what) || (flag && access(flag, F_OK))) return 0;
    int number = __atomic_add_fetch(&calls, 1, __ATOMIC_SEQ_CST), first = atoi(getenv("FAIL_AT"));
    if (number < first || number >= first + atoi(getenv("FAIL_TIMES"))) return 0;
    errno = atoi(how);
    return 1;
}

#define WRITE(name, type, parameters, whole, half)               \
    ssize_t name parameters {                                    \
        if (!is_ours(fd) || !fails('w')) return REAL(name) whole; \
        return errno ? -1 : REAL(name) half;                     \
    }
WRITE(write, off_t, (int fd, const void *data, size_t size), (fd, data, size), (fd, data, size / 2))
WRITE(pwrite, off_t, (int fd, const void *data, size_t size, off_t at), (fd, data, size, at),
      (fd, data, size / 2, at))
WRITE(pwrite64, off64_t, (int fd, const void *data, size_t size, off64_t at),
      (fd, data, size, at), (fd, data, size / 2, at))

int fsync(int fd) { return is_ours(fd) && fails('s') ? -1 : REAL(fsync)(fd); }
int fdatasync(int fd) { return is_ours(fd) && fails('s') ? -1 : REAL(fdatasync)(fd); }
int ftruncate(int fd, off_t size) {
    return is_ours(fd) && fails('t') ? -1 : REAL(ftruncate)(fd, size);
}
int ftruncate64(int fd, off64_t size) {
    return is_ours(fd) && fails('t') ? -1 : REAL(ftruncate64)(fd, size);
}
int unlink(const char *path) {
    return is_below_root(path) && fails('u') ? -1 : REAL(unlink)(path);
}

#define OPEN(name)                                                                        \
    int name(const char *path, int flags, ...) {                                          \
        va_list rest;                                                                     \
        va_start(rest, flags);                                                            \
        mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;                         \
        va_end(rest);                                                                     \
        return flags & O_CREAT && is_below_root(path) && fails('o') ? -1                  \
                                                                   : REAL(name)(path, flags, mode); \
    }
OPEN(open)
OPEN(open64)
