/* The extension module service.engine._region_jpeg: see its .pyi file for what the functions take and give. */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000 /* one binary serves Python 3.11 and all later ones */
#include <Python.h>

#include "region.h"

static PyObject *layout(PyObject *Py_UNUSED(module), PyObject *file)
{
    char *bytes;
    Py_ssize_t size;
    struct region_layout found;
    if (PyBytes_AsStringAndSize(file, &bytes, &size) < 0)
        return NULL;
    if (!region_read_layout((const unsigned char *)bytes, (size_t)size, &found))
        Py_RETURN_NONE;
    return Py_BuildValue("IIO", found.width, found.height, found.row_restarts ? Py_True : Py_False);
}

/* The rectangle of `pixels`' size at (x, y), or -1 and a ValueError if it is none or not inside the picture. */
static int rect_of(const Py_buffer *pixels, Py_ssize_t x, Py_ssize_t y, const struct region_layout *picture,
                   struct region_rect *rect)
{
    if (pixels->ndim != 3 || pixels->itemsize != 1 || pixels->shape[2] != 3) {
        PyErr_SetString(PyExc_ValueError, "pixels must be (height, width, 3) bytes");
        return -1;
    }
    Py_ssize_t height = pixels->shape[0], width = pixels->shape[1];
    Py_ssize_t right = (Py_ssize_t)picture->width, bottom = (Py_ssize_t)picture->height;
    if (x < 0 || y < 0 || width < 1 || height < 1 || width > right || height > bottom || x > right - width ||
        y > bottom - height) {
        PyErr_Format(PyExc_ValueError, "%zdx%zd pixels at %zd,%zd are not inside a picture of %zdx%zd", width, height, x,
                     y, right, bottom);
        return -1;
    }
    *rect = (struct region_rect){(unsigned)x, (unsigned)y, (unsigned)width, (unsigned)height};
    return 0;
}

static PyObject *decode(PyObject *Py_UNUSED(module), PyObject *arguments)
{
    PyObject *file, *array;
    Py_ssize_t x, y, size;
    char *bytes, reason[REGION_REASON_BYTES];
    Py_buffer pixels;
    struct region_layout picture;
    struct region_rect rect;
    if (!PyArg_ParseTuple(arguments, "OnnO:decode", &file, &x, &y, &array) ||
        PyBytes_AsStringAndSize(file, &bytes, &size) < 0 ||
        PyObject_GetBuffer(array, &pixels, PyBUF_WRITABLE | PyBUF_C_CONTIGUOUS) < 0)
        return NULL;
    const unsigned char *data = (const unsigned char *)bytes;
    int done = 0;
    if (!region_read_layout(data, (size_t)size, &picture)) {
        PyErr_SetString(PyExc_ValueError, "not a plain JPEG file");
    } else if (rect_of(&pixels, x, y, &picture, &rect) == 0) {
        Py_BEGIN_ALLOW_THREADS
        done = region_decode(data, (size_t)size, &picture, &rect, pixels.buf, reason);
        Py_END_ALLOW_THREADS
        if (!done)
            PyErr_SetString(PyExc_ValueError, reason);
    }
    PyBuffer_Release(&pixels);
    if (!done)
        return NULL;
    Py_RETURN_NONE;
}

static int check_library(PyObject *Py_UNUSED(module))
{
    char reason[REGION_REASON_BYTES];
    if (region_library_fits(reason))
        return 0;
    PyErr_SetString(PyExc_ImportError, reason);
    return -1;
}

static PyMethodDef functions[] = {
    {"layout", layout, METH_O, NULL},
    {"decode", decode, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {{Py_mod_exec, check_library}, {0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "_region_jpeg", .m_methods = functions, .m_slots = slots,
};

PyMODINIT_FUNC PyInit__region_jpeg(void)
{
    return PyModuleDef_Init(&definition);
}
