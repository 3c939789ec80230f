/* Write down what a process does to the files below $RECORD_ROOT, in order, into $RECORD_FILE.
 *
 * reliability/disk.py reads it and says what a disk would hold had the power gone at some moment.
 * A record: 1 byte what, 4 bytes thread, 8 bytes each of time (CLOCK_MONOTONIC ns), inode, number,
 * length of the path, length of the data; then path and data. Native byte order.
 *   w  write      number = offset, data        b  a sync begins     s  it has ended
 *   t  truncate   number = new size            c  file is created   d  folder is created
 *   u  unlink                                  r  rename, data = new path
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
#define REAL(name) ((typeof(&name))dlsym(RTLD_NEXT, #name))

static int is_below_root(const char *path) {
    const char *root = getenv("RECORD_ROOT");
    return root && !strncmp(path, root, strlen(root));
}

static void put(char what, uint64_t inode, uint64_t number, const char *path, const void *data,
                uint64_t size) {
    static int fd = -1;
    if (fd < 0) fd = REAL(open)(getenv("RECORD_FILE"), O_WRONLY | O_CREAT | O_APPEND, 0600);
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    struct __attribute__((packed)) {
        char what;
        uint32_t thread;
        uint64_t time, inode, number, path, data;
    } head = {what, gettid(), now.tv_sec * 1000000000ull + now.tv_nsec, inode, number,
              strlen(path), size};
    struct iovec parts[] = {{&head, sizeof head}, {(void *)path, head.path}, {(void *)data, size}};
    if (writev(fd, parts, 3) < 0) abort();
}

/* The path and inode behind a descriptor; 0 if it is none of ours. */
static uint64_t known(int fd, char *path) {
    struct stat facts;
    if (fstat(fd, &facts) || !(S_ISREG(facts.st_mode) || S_ISDIR(facts.st_mode))) return 0;
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, 4095);
    if (size < 0) return 0;
    path[size] = 0;
    return is_below_root(path) ? facts.st_ino : 0;
}

#define LOCKED(type, call, record)          \
    char path[4096];                        \
    uint64_t inode = known(fd, path);       \
    if (!inode) return call;                \
    pthread_mutex_lock(&turn);              \
    type result = call;                     \
    if (result >= 0) record;                \
    pthread_mutex_unlock(&turn);            \
    return result;

ssize_t write(int fd, const void *data, size_t size) {
    LOCKED(ssize_t, REAL(write)(fd, data, size),
           put('w', inode, lseek(fd, 0, SEEK_CUR) - result, path, data, result))
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
    LOCKED(ssize_t, REAL(pwrite)(fd, data, size, at), put('w', inode, at, path, data, result))
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    LOCKED(ssize_t, REAL(pwrite64)(fd, data, size, at), put('w', inode, at, path, data, result))
}
int ftruncate(int fd, off_t size) {
    LOCKED(int, REAL(ftruncate)(fd, size), put('t', inode, size, path, "", 0))
}
int ftruncate64(int fd, off64_t size) {
    LOCKED(int, REAL(ftruncate64)(fd, size), put('t', inode, size, path, "", 0))
}

static int sync_with(int (*real)(int), int fd) {
    char path[4096];
    uint64_t inode = known(fd, path);
    if (!inode) return real(fd);
    pthread_mutex_lock(&turn);
    put('b', inode, 0, path, "", 0);
    pthread_mutex_unlock(&turn);
    int result = real(fd);
    pthread_mutex_lock(&turn);
    if (!result) put('s', inode, 0, path, "", 0);
    pthread_mutex_unlock(&turn);
    return result;
}
int fsync(int fd) { return sync_with(REAL(fsync), fd); }
int fdatasync(int fd) { return sync_with(REAL(fdatasync), fd); }

#define OPEN(name)                                                          \
    int name(const char *file, int flags, ...) {                            \
        va_list rest;                                                       \
        va_start(rest, flags);                                              \
        mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;           \
        va_end(rest);                                                       \
        int is_ours = flags & (O_CREAT | O_TRUNC) && is_below_root(file);   \
        if (!is_ours) return REAL(name)(file, flags, mode);                 \
        pthread_mutex_lock(&turn);                                          \
        int is_new = access(file, F_OK);                                    \
        int fd = REAL(name)(file, flags, mode);                             \
        char path[4096];                                                    \
        uint64_t inode = fd < 0 ? 0 : known(fd, path);                      \
        if (inode && (is_new || flags & O_TRUNC))                           \
            put(is_new ? 'c' : 't', inode, 0, path, "", 0);                 \
        pthread_mutex_unlock(&turn);                                        \
        return fd;                                                          \
    }
OPEN(open)
OPEN(open64)

#define NAMED(call, file, record)           \
    if (!is_below_root(file)) return call;  \
    pthread_mutex_lock(&turn);              \
    int result = call;                      \
    if (!result) record;                    \
    pthread_mutex_unlock(&turn);            \
    return result;

int unlink(const char *file) { NAMED(REAL(unlink)(file), file, put('u', 0, 0, file, "", 0)) }
int mkdir(const char *file, mode_t mode) {
    NAMED(REAL(mkdir)(file, mode), file, put('d', 0, 0, file, "", 0))
}
int rename(const char *from, const char *to) {
    NAMED(REAL(rename)(from, to), from, put('r', 0, 0, from, to, strlen(to)))
}
