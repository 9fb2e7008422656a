/* The loop of jsrpd.sessions.relay, compiled: what the peer is told about a batch of conntrack events.
 *
 * It does what told_in_python does and says it in the same bytes. Whatever is not of the usual form (a master, odd
 * sizes, NAT of a protocol without ports) goes back to Python, one event at a time, so nothing is decided here that is
 * not decided there. Every length is checked before it is used: events come from the kernel, but a reader need not
 * believe that to see that nothing outside of them is read.
 */

#define PY_SSIZE_T_CLEAN
#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030B0000
#endif
#include <Python.h>
#include <stdint.h>
#include <string.h>

enum {
    CT_NEW = 0x100, CT_DELETE = 0x102,
    F_REQUEST = 0x1, F_EXCLUSIVE = 0x200, F_CREATE = 0x400,
    NETLINK_HEADER = 16, PREFIX = 20,
    NESTED = 0x8000, TYPE_MASK = 0x3FFF,
    TUPLE_ORIG = 1, TUPLE_REPLY = 2, STATUS = 3, PROTOINFO = 4, HELP = 5, NAT_SRC = 6, TIMEOUT = 7, MARK = 8, NAT_DST = 13,
    TUPLE_MASTER = 14, SEQ_ADJ_ORIG = 15, SEQ_ADJ_REPLY = 16, ZONE = 18, LABELS = 22, SYNPROXY = 24, KINDS = 32,
    PROTOINFO_TCP = 1, TCP_FLAGS_ORIG = 4, TCP_FLAGS_REPLY = 5, BE_LIBERAL = 0x08, FLAG_MASK = 0x0B,
    S_EXPECTED = 0x1, S_CONFIRMED = 0x8, S_SRC_NAT = 0x10, S_DST_NAT = 0x20, S_DYING = 0x200,
    SERVICE_CREATE = 1, SERVICE_CHANGE = 2, SERVICE_CLOSE = 3, SERVICE_TRANSLATION = 4,
    INET6 = 10, GRE = 47,
    STANDBY_TIMEOUT_S = 30 * 86400,
    /* Two messages about an event of the largest size that is handled here, with room for NAT both ways. */
    LARGEST_EVENT = 2048, ROOM = 2 * LARGEST_EVENT + 512,
};

/* In this order, as KEPT less STATUS and PROTOINFO. */
static const int COPIED[] = {TUPLE_ORIG, TUPLE_REPLY, HELP, MARK, SEQ_ADJ_ORIG, SEQ_ADJ_REPLY, ZONE, LABELS, SYNPROXY};
/* What a later event must have too for an earlier one to be left out. */
#define SAYING_MASK                                                                                                        \
    (1u << TUPLE_MASTER | 1u << TUPLE_ORIG | 1u << TUPLE_REPLY | 1u << STATUS | 1u << PROTOINFO | 1u << HELP | 1u << MARK | 1u << SEQ_ADJ_ORIG | \
     1u << SEQ_ADJ_REPLY | 1u << ZONE | 1u << LABELS | 1u << SYNPROXY)

/* Where the attributes of an event stand; of one that is given twice the last. */
typedef struct {
    const uint8_t *data;
    Py_ssize_t size;
    uint32_t present;
    uint16_t at[KINDS], length[KINDS];
} Form;

typedef struct {
    PyObject *event; /* borrowed from the sequence; NULL when the message is not wanted any more */
    uint32_t kept;
    int whole, ends;
} Slot;

static uint16_t u16(const uint8_t *p) { uint16_t v; memcpy(&v, p, 2); return v; }

static void put16(uint8_t *p, uint16_t v) { memcpy(p, &v, 2); }

static void put32(uint8_t *p, uint32_t v) { memcpy(p, &v, 4); }

/* False for what the plain way must look at. */
static int form_of(PyObject *event, Form *form)
{
    form->data = (const uint8_t *)PyBytes_AsString(event);
    form->size = PyBytes_Size(event);
    form->present = 0;
    if (form->size < PREFIX + 4 || form->size > LARGEST_EVENT || form->size % 4)
        return 0;
    for (Py_ssize_t at = PREFIX; at + 4 <= form->size;) {
        Py_ssize_t length = u16(form->data + at), step;
        int kind = u16(form->data + at + 2) & TYPE_MASK;
        if (length < 4 || at + length > form->size)
            break;
        step = (length + 3) & ~(Py_ssize_t)3;
        if (kind < KINDS) {
            form->present |= 1u << kind;
            form->at[kind] = (uint16_t)at;
            form->length[kind] = (uint16_t)step;
        }
        at += step;
    }
    return (form->present >> TUPLE_ORIG) & 1;
}

static int has(const Form *form, int kind) { return (form->present >> kind) & 1; }

static const uint8_t *attribute(const Form *form, int kind) { return form->data + form->at[kind]; }

/* Of a tuple in the usual form; 0 where it has another. */
static int protocol(const Form *form)
{
    const uint8_t *original = attribute(form, TUPLE_ORIG);
    int at = form->length[TUPLE_ORIG] > 8 && original[8] == 8 ? 32 : 56;
    return form->length[TUPLE_ORIG] > at ? original[at] : 0;
}

/* Both addresses of either tuple with their headers, as Attribution has them; a new reference, or NULL without an error. */
static PyObject *addresses(const Form *form)
{
    uint8_t key[80];
    int reply = has(form, TUPLE_REPLY) ? TUPLE_REPLY : TUPLE_ORIG;
    const uint8_t *original = attribute(form, TUPLE_ORIG);
    int end;
    if (form->length[TUPLE_ORIG] < 24)
        return NULL;
    end = original[8] == 8 ? 24 : 48;
    if (form->length[TUPLE_ORIG] < end || form->length[reply] < end)
        return NULL;
    memcpy(key, original + 8, end - 8);
    memcpy(key + end - 8, attribute(form, reply) + 8, end - 8);
    return PyBytes_FromStringAndSize((const char *)key, 2 * (end - 8));
}

/* What names a connection. */
static PyObject *name(const Form *form)
{
    uint8_t key[LARGEST_EVENT + 64];
    size_t size = form->length[TUPLE_ORIG];
    memcpy(key, attribute(form, TUPLE_ORIG), size);
    if (has(form, ZONE)) {
        memcpy(key + size, attribute(form, ZONE), form->length[ZONE]);
        size += form->length[ZONE];
    }
    return PyBytes_FromStringAndSize((const char *)key, (Py_ssize_t)size);
}

static uint8_t *head(uint8_t *at, size_t body, int kind, int flags, int service, uint8_t family)
{
    put32(at, (uint32_t)(PREFIX + body));
    put16(at + 4, (uint16_t)kind);
    put16(at + 6, (uint16_t)flags);
    put32(at + 8, (uint32_t)service);
    put32(at + 12, 0);
    at[16] = family;
    at[17] = at[18] = at[19] = 0;
    return at + PREFIX;
}

/* TCP's flags with a mask and liberal, in place; other protocols as they are. False for an unusual form. */
static int make_liberal(uint8_t *info, size_t size)
{
    const uint32_t both = 1u << TCP_FLAGS_ORIG | 1u << TCP_FLAGS_REPLY;
    uint32_t seen = 0;
    if (size < 8 || u16(info + 2) != (PROTOINFO | NESTED) || u16(info) != size || u16(info + 4) != size - 4)
        return 0;
    if ((u16(info + 6) & TYPE_MASK) != PROTOINFO_TCP)
        return 1;
    if (u16(info + 6) != (PROTOINFO_TCP | NESTED))
        return 0;
    for (size_t at = 8; at < size;) {
        size_t length;
        int kind;
        if (at + 4 > size)
            return 0;
        length = u16(info + at);
        kind = u16(info + at + 2);
        if (length < 5 || length > 8 || at + 8 > size || kind >= KINDS || seen & 1u << kind)
            return 0;
        for (size_t pad = at + length; pad < at + 8; pad++)
            if (info[pad])
                return 0;
        if (kind == TCP_FLAGS_ORIG || kind == TCP_FLAGS_REPLY) {
            if (length != 6)
                return 0;
            info[at + 4] |= BE_LIBERAL;
            info[at + 5] = FLAG_MASK;
        }
        seen |= 1u << kind;
        at += 8;
    }
    return (seen & both) == both;
}

/* A NAT attribute of exactly one address and port; where it ends. */
static uint8_t *nat(uint8_t *at, int kind, const uint8_t *address, size_t size, const uint8_t *port)
{
    uint8_t *begin = at;
    int low = size == 4 ? 1 : 4, high = size == 4 ? 2 : 5;
    put16(at + 2, (uint16_t)(kind | NESTED));
    at += 4;
    for (int end = 0; end < 2; end++) {
        put16(at, (uint16_t)(4 + size));
        put16(at + 2, (uint16_t)(end ? high : low));
        memcpy(at + 4, address, size);
        at += 4 + size;
    }
    put16(at, 20);
    put16(at + 2, 3 | NESTED);
    at += 4;
    for (int end = 1; end <= 2; end++) {
        put16(at, 6);
        put16(at + 2, (uint16_t)end);
        memcpy(at + 4, port, 2);
        at[6] = at[7] = 0;
        at += 8;
    }
    put16(begin, (uint16_t)(at - begin));
    return at;
}

/* The reply tuple as it was before NAT, and the NAT; NULL when a tuple is not two addresses, a protocol and two ports. */
static uint8_t *undone_and_nat(uint8_t *at, const Form *form, int status)
{
    static const uint8_t SOURCE_PORT[4] = {6, 0, 2, 0}, DESTINATION_PORT[4] = {6, 0, 3, 0};
    const uint8_t *original, *reply;
    uint8_t headers[8];
    size_t size, length, a, b, p, q;
    if (!has(form, TUPLE_REPLY))
        return NULL;
    original = attribute(form, TUPLE_ORIG);
    reply = attribute(form, TUPLE_REPLY);
    length = form->length[TUPLE_REPLY];
    if (length != form->length[TUPLE_ORIG] || (length != 52 && length != 76))
        return NULL;
    size = length == 52 ? 4 : 16;
    a = 12, b = 16 + size, p = b + size + 16, q = b + size + 24;
    /* The headers above are little-endian; on another machine every connection with NAT goes the plain way. */
    memcpy(headers, SOURCE_PORT, 4);
    memcpy(headers + 4, DESTINATION_PORT, 4);
    if (memcmp(original + p - 4, headers, 4) || memcmp(original + q - 4, headers + 4, 4) || memcmp(reply + p - 4, headers, 4) ||
        memcmp(reply + q - 4, headers + 4, 4))
        return NULL;
    memcpy(at, reply, length);
    memcpy(at + a, original + b, size);
    memcpy(at + b, original + a, size);
    memcpy(at + p, original + q, 2);
    memcpy(at + q, original + p, 2);
    at += length;
    if (status & S_SRC_NAT)
        at = nat(at, NAT_SRC, reply + b, size, reply + q);
    if (status & S_DST_NAT)
        at = nat(at, NAT_DST, reply + a, size, reply + p);
    return at;
}

/* The message, or messages; NULL without an error for what the plain way must say. */
static PyObject *said(const Form *form, int whole, int ends)
{
    uint8_t room[ROOM], kept[LARGEST_EVENT + 32];
    uint8_t family = form->data[NETLINK_HEADER], *at = room, *end;
    size_t size = 0;
    int status = 0;
    if (ends) {
        at = head(at, form->length[TUPLE_ORIG] + (size_t)(has(form, ZONE) ? form->length[ZONE] : 0), CT_DELETE, F_REQUEST,
                  SERVICE_CLOSE, family);
        memcpy(at, attribute(form, TUPLE_ORIG), form->length[TUPLE_ORIG]);
        at += form->length[TUPLE_ORIG];
        if (has(form, ZONE)) {
            memcpy(at, attribute(form, ZONE), form->length[ZONE]);
            at += form->length[ZONE];
        }
        return PyBytes_FromStringAndSize((const char *)room, at - room);
    }
    for (size_t n = 0; n < sizeof COPIED / sizeof *COPIED; n++)
        if (has(form, COPIED[n])) {
            memcpy(kept + size, attribute(form, COPIED[n]), form->length[COPIED[n]]);
            size += form->length[COPIED[n]];
        }
    if (has(form, STATUS)) {
        const uint8_t *given = attribute(form, STATUS);
        if (form->length[STATUS] != 8 || u16(given) != 8)
            return NULL;
        status = given[7] | given[6] << 8;
        put16(kept + size, 8);
        put16(kept + size + 2, STATUS);
        kept[size + 4] = given[4];
        kept[size + 5] = given[5];
        kept[size + 6] = (uint8_t)(given[6] & ~(S_DYING >> 8));
        kept[size + 7] = given[7] | S_CONFIRMED;
        size += 8;
    }
    if (status & S_EXPECTED || has(form, TUPLE_MASTER) || protocol(form) == GRE)
        return NULL;
    if (has(form, PROTOINFO)) {
        memcpy(kept + size, attribute(form, PROTOINFO), form->length[PROTOINFO]);
        if (!make_liberal(kept + size, form->length[PROTOINFO]))
            return NULL;
        size += form->length[PROTOINFO];
    }
    put16(kept + size, 8);
    put16(kept + size + 2, TIMEOUT);
    kept[size + 4] = (uint8_t)(STANDBY_TIMEOUT_S >> 24 & 0xFF);
    kept[size + 5] = STANDBY_TIMEOUT_S >> 16 & 0xFF;
    kept[size + 6] = STANDBY_TIMEOUT_S >> 8 & 0xFF;
    kept[size + 7] = STANDBY_TIMEOUT_S & 0xFF;
    size += 8;
    if (!(status & (S_SRC_NAT | S_DST_NAT))) {
        at = head(at, size, CT_NEW, F_REQUEST | F_CREATE, whole ? SERVICE_CREATE : SERVICE_CHANGE, family);
        memcpy(at, kept, size);
        at += size;
        return PyBytes_FromStringAndSize((const char *)room, at - room);
    }
    if (whole) {
        memcpy(at + PREFIX, kept, size);
        /* The kernel takes the last of an attribute that is given twice. */
        end = undone_and_nat(at + PREFIX + size, form, status);
        if (end == NULL)
            return NULL;
        head(at, (size_t)(end - at) - PREFIX, CT_NEW, F_REQUEST | F_CREATE | F_EXCLUSIVE, SERVICE_TRANSLATION, family);
        at = end;
    }
    at = head(at, size, CT_NEW, F_REQUEST, whole ? SERVICE_CREATE : SERVICE_CHANGE, family);
    memcpy(at, kept, size);
    at += size;
    return PyBytes_FromStringAndSize((const char *)room, at - room);
}

/* The group of an event: 1 and a new reference, 0 when it does not travel, -1 with an error. */
static int is_owned(PyObject *event, const Form *form, int usual, PyObject *groups, PyObject *owned, PyObject *look_up)
{
    PyObject *key = usual ? addresses(form) : NULL, *group = NULL;
    int found;
    if (key != NULL) {
        group = PyDict_GetItemWithError(groups, key);
        Py_XINCREF(group);
        Py_DECREF(key);
    }
    if (group == NULL) {
        if (PyErr_Occurred())
            return -1;
        group = PyObject_CallFunctionObjArgs(look_up, event, NULL);
        if (group == NULL)
            return -1;
    }
    found = group == Py_None ? 0 : PySequence_Contains(owned, group);
    Py_DECREF(group);
    return found;
}

/* Fills the slots; how many there are, -1 with an error. */
static Py_ssize_t collect(PyObject *events, Py_ssize_t count, PyObject *groups, PyObject *owned, PyObject *look_up, int always,
                          Slot *slots)
{
    Py_ssize_t used = 0;
    PyObject *pending = PyDict_New();
    if (pending == NULL)
        return -1;
    for (Py_ssize_t n = 0; n < count; n++) {
        PyObject *event = PyList_GetItem(events, n), *key, *place, *number;
        Form form;
        uint16_t kind, flags;
        int usual, owner;
        if (!PyBytes_Check(event)) {
            PyErr_SetString(PyExc_TypeError, "an event is bytes");
            goto failed;
        }
        usual = form_of(event, &form);
        owner = is_owned(event, &form, usual, groups, owned, look_up);
        if (owner < 0)
            goto failed;
        if (!owner)
            continue;
        if (!usual) {
            /* Understood by the plain way only, which says it by itself. */
            uint16_t what = form.size >= 8 ? u16(form.data + 4) : 0;
            slots[used++] = (Slot){event, 0, always || (form.size >= 8 && u16(form.data + 6) & F_CREATE), what == CT_DELETE};
            continue;
        }
        kind = u16(form.data + 4);
        flags = always ? F_CREATE : u16(form.data + 6);
        key = name(&form);
        if (key == NULL)
            goto failed;
        place = PyDict_GetItemWithError(pending, key);
        if (place == NULL && PyErr_Occurred()) {
            Py_DECREF(key);
            goto failed;
        }
        if (kind == CT_DELETE) {
            if (place != NULL) {
                slots[PyLong_AsSsize_t(place)].event = NULL;
                if (PyDict_DelItem(pending, key) < 0) {
                    Py_DECREF(key);
                    goto failed;
                }
            }
            slots[used++] = (Slot){event, 0, 0, 1};
            Py_DECREF(key);
            continue;
        }
        if (place != NULL) {
            Slot *earlier = &slots[PyLong_AsSsize_t(place)];
            uint32_t kept = form.present & SAYING_MASK;
            if (!(earlier->kept & ~kept)) {
                earlier->event = event;
                earlier->kept = kept;
                earlier->whole |= (flags & F_CREATE) != 0;
                Py_DECREF(key);
                continue;
            }
        }
        number = PyLong_FromSsize_t(used);
        if (number == NULL || PyDict_SetItem(pending, key, number) < 0) {
            Py_XDECREF(number);
            Py_DECREF(key);
            goto failed;
        }
        Py_DECREF(number);
        Py_DECREF(key);
        slots[used++] = (Slot){event, form.present & SAYING_MASK, (flags & F_CREATE) != 0, 0};
    }
    Py_DECREF(pending);
    return used;
failed:
    Py_DECREF(pending);
    return -1;
}

static PyObject *answer(const Slot *slots, Py_ssize_t used, PyObject *plain)
{
    long counts[6] = {0};
    PyObject *messages = PyList_New(0);
    if (messages == NULL)
        return NULL;
    for (Py_ssize_t n = 0; n < used; n++) {
        PyObject *message;
        Form form;
        int failed;
        if (slots[n].event == NULL)
            continue;
        message = form_of(slots[n].event, &form) ? said(&form, slots[n].whole, slots[n].ends) : NULL;
        if (message == NULL && !PyErr_Occurred())
            message = PyObject_CallFunctionObjArgs(plain, slots[n].event, slots[n].whole ? Py_True : Py_False, NULL);
        if (message == NULL)
            goto failed;
        if (!PyBytes_Check(message) || PyBytes_Size(message) == 0) {
            Py_DECREF(message);
            continue;
        }
        failed = PyList_Append(messages, message);
        Py_DECREF(message);
        if (failed)
            goto failed;
        counts[(slots[n].ends ? 4 : slots[n].whole ? 0 : 2) + (form.data[NETLINK_HEADER] == INET6)]++;
    }
    return Py_BuildValue("(N[llllll])", messages, counts[0], counts[1], counts[2], counts[3], counts[4], counts[5]);
failed:
    Py_DECREF(messages);
    return NULL;
}

static PyObject *told(PyObject *self, PyObject *arguments)
{
    PyObject *given, *groups, *owned, *look_up, *plain, *events, *result = NULL;
    Py_ssize_t count, used;
    int always = 0;
    Slot *slots;
    (void)self;
    if (!PyArg_ParseTuple(arguments, "OO!OOO|p", &given, &PyDict_Type, &groups, &owned, &look_up, &plain, &always))
        return NULL;
    /* A list of our own: what is called back must not be able to change it. */
    events = PySequence_List(given);
    if (events == NULL)
        return NULL;
    count = PyList_Size(events);
    slots = PyMem_Malloc((size_t)(count ? count : 1) * sizeof *slots);
    if (slots == NULL) {
        PyErr_NoMemory();
    } else {
        used = collect(events, count, groups, owned, look_up, always, slots);
        if (used >= 0)
            result = answer(slots, used, plain);
        PyMem_Free(slots);
    }
    Py_DECREF(events);
    return result;
}

/* How many messages there are of each service (0 to 7) and family, IPv4 and IPv6 in turn; ValueError where one is not a
 * connection's. What is injected is looked at with this first. */
static PyObject *counted(PyObject *self, PyObject *content)
{
    long counts[16] = {0};
    const uint8_t *data;
    Py_ssize_t size, at = 0;
    PyObject *result;
    (void)self;
    if (!PyBytes_Check(content)) {
        PyErr_SetString(PyExc_TypeError, "messages are bytes");
        return NULL;
    }
    data = (const uint8_t *)PyBytes_AsString(content);
    size = PyBytes_Size(content);
    while (at < size) {
        uint32_t length, service;
        uint16_t kind;
        if (at + PREFIX > size)
            break;
        memcpy(&length, data + at, 4);
        memcpy(&service, data + at + 8, 4);
        kind = u16(data + at + 4);
        if ((kind != CT_NEW && kind != CT_DELETE) || length < PREFIX || length > (uint64_t)(size - at) || length % 4 || service > 7)
            break;
        counts[2 * service + (data[at + NETLINK_HEADER] == INET6)]++;
        at += length;
    }
    if (at != size) {
        PyErr_SetString(PyExc_ValueError, "not a connection");
        return NULL;
    }
    result = PyList_New(0);
    for (int n = 0; result != NULL && n < 16; n++) {
        PyObject *number = PyLong_FromLong(counts[n]);
        if (number == NULL || PyList_Append(result, number) < 0)
            Py_CLEAR(result);
        Py_XDECREF(number);
    }
    return result;
}

static PyMethodDef methods[] = {
    {"counted", counted, METH_O, "See jsrpd.sessions.relay.counted_in_python."},
    {"told", told, METH_VARARGS, "See jsrpd.sessions.relay.Told."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_relay", NULL, 0, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__relay(void)
{
    return PyModuleDef_Init(&module);
}
