/* Shows what a power loss would leave behind: the process under test sees its files as usual, while beside them an image
 * of each file is kept that holds only what was synced.
 *
 * Loaded with LD_PRELOAD into the daemon by the power-loss drill. A kill -9 cannot show a missing fsync, because the page
 * cache survives it; the image does not get what was never synced.
 *
 *   POWER_LOSS_FILES   directory whose files are watched (absolute, no trailing slash)
 *   POWER_LOSS_IMAGES  directory that receives the images, one file a watched file, same name
 *
 * Model: a write is remembered as a range; fsync or fdatasync of that file copies the remembered ranges, and the file's
 * length, to its image. A file that was never synced has no image; a removed file's image goes when its directory is synced. Shared memory (…-shm) is not storage and is ignored.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

enum { FILES = 16, DESCRIPTORS = 1024, RANGES = 65536 };

struct range { off_t from, to; };

struct watched {
    char name[NAME_MAX + 1];
    struct range dirty[RANGES];
    int ranges;
    int removed; /* unlinked, and its directory not synced since */
    int whole; /* too many ranges to remember: the next sync copies everything */
};

static struct watched *files[FILES];
static int file_of[DESCRIPTORS]; /* index into files, plus one; 0 = not watched */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name) ((__typeof__(&name))real(#name))

static void *real(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    if (!found) { fprintf(stderr, "power loss: %s not found\n", name); abort(); }
    return found;
}

static void must(int ok, const char *what) {
    if (!ok) { fprintf(stderr, "power loss: %s: %s\n", what, strerror(errno)); abort(); }
}

/* The name below the watched directory, or null. */
static const char *watched_name(const char *path) {
    const char *root = getenv("POWER_LOSS_FILES");
    if (!root || !path) return NULL;
    size_t length = strlen(root);
    if (strncmp(path, root, length) != 0 || path[length] != '/') return NULL;
    const char *name = path + length + 1;
    size_t end = strlen(name);
    if (strchr(name, '/') || end > NAME_MAX || (end > 4 && strcmp(name + end - 4, "-shm") == 0)) return NULL;
    return name;
}

static void opened(int fd, const char *path, int flags) {
    const char *name = watched_name(path);
    if (fd < 0 || fd >= DESCRIPTORS || !name || (flags & O_DIRECTORY)) return;
    pthread_mutex_lock(&lock);
    int i = 0;
    while (i < FILES && files[i] && strcmp(files[i]->name, name) != 0) i++;
    errno = ENFILE;
    must(i < FILES, "too many watched files");
    if (!files[i]) {
        files[i] = calloc(1, sizeof *files[i]);
        must(files[i] != NULL, "memory");
        strcpy(files[i]->name, name);
    }
    if (flags & O_TRUNC) files[i]->whole = 1;
    file_of[fd] = i + 1;
    pthread_mutex_unlock(&lock);
}

static struct watched *of(int fd) {
    return fd >= 0 && fd < DESCRIPTORS && file_of[fd] ? files[file_of[fd] - 1] : NULL;
}

static void wrote(int fd, off_t from, ssize_t length) {
    if (length <= 0) return;
    pthread_mutex_lock(&lock);
    struct watched *file = of(fd);
    if (file) {
        if (file->ranges == RANGES) file->whole = 1;
        else file->dirty[file->ranges++] = (struct range){from, from + length};
    }
    pthread_mutex_unlock(&lock);
}

static void copy(int from_fd, int to_fd, off_t from, off_t to) {
    char block[65536];
    while (from < to) {
        size_t want = to - from > (off_t)sizeof block ? sizeof block : (size_t)(to - from);
        ssize_t got = REAL(pread)(from_fd, block, want, from);
        must(got >= 0, "read for the image");
        if (got == 0) return; /* the file was cut shorter since */
        must(REAL(pwrite)(to_fd, block, (size_t)got, from) == got, "write to the image");
        from += got;
    }
}

/* A directory was synced: removals are durable now. */
static void removals_synced(const char *images) {
    char path[PATH_MAX];
    for (int i = 0; i < FILES && files[i]; i++) {
        if (!files[i]->removed) continue;
        snprintf(path, sizeof path, "%s/%s", images, files[i]->name);
        must(REAL(unlink)(path) == 0 || errno == ENOENT, "remove the image");
        files[i]->removed = 0;
    }
}

static void synced(int fd) {
    pthread_mutex_lock(&lock);
    struct watched *file = of(fd);
    const char *images = getenv("POWER_LOSS_IMAGES");
    struct stat kind;
    if (images && !file && fstat(fd, &kind) == 0 && S_ISDIR(kind.st_mode)) removals_synced(images);
    if (file && images) {
        char path[PATH_MAX];
        char self[64];
        struct stat now;
        snprintf(path, sizeof path, "%s/%s", images, file->name);
        snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
        int source = REAL(open)(self, O_RDONLY | O_CLOEXEC); /* the descriptor may be write-only */
        int image = REAL(open)(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        must(source >= 0 && image >= 0 && fstat(source, &now) == 0, "open the image");
        if (file->whole) copy(source, image, 0, now.st_size);
        for (int i = 0; i < file->ranges && !file->whole; i++) copy(source, image, file->dirty[i].from, file->dirty[i].to);
        must(REAL(ftruncate)(image, now.st_size) == 0, "cut the image");
        file->ranges = file->whole = file->removed = 0;
        REAL(close)(source);
        REAL(close)(image);
    }
    pthread_mutex_unlock(&lock);
}

#define OPEN(name)                                                              \
    int name(const char *path, int flags, ...) {                                \
        va_list rest;                                                           \
        va_start(rest, flags);                                                  \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
        va_end(rest);                                                           \
        int fd = REAL(name)(path, flags, mode);                                 \
        opened(fd, path, flags);                                                \
        return fd;                                                              \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                            \
    int name(int at, const char *path, int flags, ...) {                        \
        va_list rest;                                                           \
        va_start(rest, flags);                                                  \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
        va_end(rest);                                                           \
        int fd = REAL(name)(at, path, flags, mode);                             \
        opened(fd, path, flags);                                                \
        return fd;                                                              \
    }
OPENAT(openat)
OPENAT(openat64)

int close(int fd) {
    if (fd >= 0 && fd < DESCRIPTORS) {
        pthread_mutex_lock(&lock);
        file_of[fd] = 0;
        pthread_mutex_unlock(&lock);
    }
    return REAL(close)(fd);
}

ssize_t write(int fd, const void *bytes, size_t length) {
    off_t from = of(fd) ? lseek(fd, 0, SEEK_CUR) : 0;
    ssize_t done = REAL(write)(fd, bytes, length);
    wrote(fd, from, done);
    return done;
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t from) {
    ssize_t done = REAL(pwrite)(fd, bytes, length, from);
    wrote(fd, from, done);
    return done;
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t from) {
    ssize_t done = REAL(pwrite64)(fd, bytes, length, from);
    wrote(fd, (off_t)from, done);
    return done;
}


int unlink(const char *path) {
    int result = REAL(unlink)(path);
    const char *name = watched_name(path);
    if (result == 0 && name) {
        pthread_mutex_lock(&lock);
        for (int i = 0; i < FILES && files[i]; i++) {
            if (strcmp(files[i]->name, name) != 0) continue;
            files[i]->removed = files[i]->whole = 1; /* a new file of that name begins from nothing */
        }
        pthread_mutex_unlock(&lock);
    }
    return result;
}

int fsync(int fd) {
    int result = REAL(fsync)(fd);
    if (result == 0) synced(fd);
    return result;
}

int fdatasync(int fd) {
    int result = REAL(fdatasync)(fd);
    if (result == 0) synced(fd);
    return result;
}
