/* The model of records. The shares of the reservations, tickets and events are those of the 158
 * real ones that KDE's kitinerary tests with (CC0-1.0), fields in less than a fifth of a kind's
 * records left out; notes, tags and what travellers keep beside a booking are the application's
 * own, as are profiles, preferences and trips. */
#include "tests/simulation/record_shape.h"

static const struct record_field TRAIN[] = {
    {"modifiedTime", 44, FIELD_TIME, 0, 4},
    {"notes", 40, FIELD_TEXT, 1, 0},
    {"priceCurrency", 30, FIELD_CODE, 0, 11},
    {"reservationFor.arrivalPlatform", 29, FIELD_CODE, 0, 5},
    {"reservationFor.arrivalStation.identifier", 20, FIELD_CODE, 0, 0},
    {"reservationFor.arrivalStation.name", 100, FIELD_NAME, 0, 9},
    {"reservationFor.arrivalTime", 77, FIELD_TIME, 6, 3},
    {"reservationFor.departureDay", 99, FIELD_TIME, 0, 0},
    {"reservationFor.departurePlatform", 26, FIELD_CODE, 0, 1},
    {"reservationFor.departureStation.identifier", 20, FIELD_CODE, 0, 0},
    {"reservationFor.departureStation.name", 100, FIELD_NAME, 0, 8},
    {"reservationFor.departureTime", 87, FIELD_TIME, 5, 2},
    {"reservationFor.trainNumber", 86, FIELD_CODE, 0, 7},
    {"reservationNumber", 56, FIELD_CODE, 7, 0},
    {"reservationStatus", 89, FIELD_STATUS, 8, 6},
    {"reservedTicket.ticketToken", 39, FIELD_TOKEN, 0, 0},
    {"reservedTicket.ticketedSeat.seatNumber", 30, FIELD_CODE, 3, 10},
    {"reservedTicket.ticketedSeat.seatSection", 29, FIELD_CODE, 4, 13},
    {"reservedTicket.ticketedSeat.seatingType", 30, FIELD_CODE, 9, 14},
    {"tags", 50, FIELD_TAGS, 2, 0},
    {"totalPrice", 20, FIELD_PRICE, 0, 12},
    {"underName.name", 36, FIELD_NAME, 10, 15},
};

static const struct record_field FLIGHT[] = {
    {"airplaneSeat", 47, FIELD_CODE, 2, 7},
    {"modifiedTime", 31, FIELD_TIME, 0, 4},
    {"notes", 40, FIELD_TEXT, 1, 0},
    {"passengerSequenceNumber", 40, FIELD_NUMBER, 0, 10},
    {"programMembershipUsed.membershipNumber", 20, FIELD_CODE, 4, 0},
    {"programMembershipUsed.programName", 20, FIELD_NAME, 5, 0},
    {"reservationFor.airline.iataCode", 89, FIELD_CODE, 0, 0},
    {"reservationFor.arrivalAirport.iataCode", 82, FIELD_CODE, 0, 11},
    {"reservationFor.arrivalGate", 20, FIELD_CODE, 0, 8},
    {"reservationFor.arrivalTime", 51, FIELD_TIME, 7, 3},
    {"reservationFor.boardingTime", 27, FIELD_TIME, 0, 5},
    {"reservationFor.departureAirport.iataCode", 89, FIELD_CODE, 0, 0},
    {"reservationFor.departureDay", 80, FIELD_TIME, 0, 0},
    {"reservationFor.departureGate", 30, FIELD_CODE, 0, 1},
    {"reservationFor.departureTime", 56, FIELD_TIME, 6, 2},
    {"reservationFor.flightNumber", 89, FIELD_CODE, 0, 12},
    {"reservationNumber", 76, FIELD_CODE, 8, 0},
    {"reservationStatus", 76, FIELD_STATUS, 9, 6},
    {"reservedTicket.ticketNumber", 22, FIELD_CODE, 0, 13},
    {"reservedTicket.ticketToken", 44, FIELD_TOKEN, 0, 0},
    {"tags", 50, FIELD_TAGS, 3, 0},
    {"totalPrice", 20, FIELD_PRICE, 0, 9},
    {"underName.familyName", 51, FIELD_NAME, 10, 14},
    {"underName.givenName", 51, FIELD_NAME, 11, 15},
};

static const struct record_field TICKET[] = {
    {"issuedBy.name", 43, FIELD_NAME, 0, 7}, {"name", 100, FIELD_NAME, 2, 6},
    {"notes", 40, FIELD_TEXT, 1, 0},         {"priceCurrency", 38, FIELD_CODE, 0, 5},
    {"ticketNumber", 100, FIELD_CODE, 0, 0}, {"ticketToken", 100, FIELD_TOKEN, 0, 0},
    {"totalPrice", 38, FIELD_PRICE, 0, 4},   {"underName.name", 81, FIELD_NAME, 3, 3},
    {"validFrom", 95, FIELD_TIME, 0, 2},     {"validUntil", 95, FIELD_TIME, 4, 1},
};

static const struct record_field BUS[] = {
    {"notes", 40, FIELD_TEXT, 1, 0},
    {"reservationFor.arrivalBusStop.name", 100, FIELD_NAME, 0, 6},
    {"reservationFor.arrivalTime", 100, FIELD_TIME, 4, 3},
    {"reservationFor.busNumber", 86, FIELD_CODE, 0, 5},
    {"reservationFor.departureBusStop.name", 100, FIELD_NAME, 0, 4},
    {"reservationFor.departurePlatform", 29, FIELD_CODE, 0, 1},
    {"reservationFor.departureTime", 100, FIELD_TIME, 3, 2},
    {"reservationNumber", 71, FIELD_CODE, 5, 0},
    {"reservationStatus", 100, FIELD_STATUS, 6, 7},
    {"reservedTicket.ticketedSeat.seatNumber", 43, FIELD_CODE, 2, 8},
};

static const struct record_field LODGING[] = {
    {"checkinTime", 100, FIELD_TIME, 3, 2},
    {"checkoutTime", 100, FIELD_TIME, 4, 3},
    {"modifiedTime", 33, FIELD_TIME, 0, 4},
    {"notes", 60, FIELD_TEXT, 1, 0},
    {"numAdults", 40, FIELD_NUMBER, 5, 7},
    {"reservationFor.name", 100, FIELD_NAME, 0, 8},
    {"reservationFor.telephone", 67, FIELD_CODE, 0, 6},
    {"reservationNumber", 100, FIELD_CODE, 6, 0},
    {"reservationStatus", 67, FIELD_STATUS, 7, 1},
    {"tags", 50, FIELD_TAGS, 2, 0},
    {"totalPrice", 33, FIELD_PRICE, 0, 5},
    {"underName.name", 67, FIELD_NAME, 8, 9},
};

static const struct record_field EVENT[] = {
    {"description", 67, FIELD_TEXT, 5, 6},
    {"endDate", 100, FIELD_TIME, 4, 2},
    {"location.address.addressLocality", 67, FIELD_NAME, 0, 5},
    {"location.address.streetAddress", 83, FIELD_NAME, 0, 4},
    {"location.name", 83, FIELD_NAME, 6, 3},
    {"name", 100, FIELD_NAME, 7, 7},
    {"notes", 40, FIELD_TEXT, 1, 0},
    {"startDate", 100, FIELD_TIME, 3, 1},
    {"tags", 50, FIELD_TAGS, 2, 0},
    {"url", 67, FIELD_NAME, 0, 8},
};

static const struct record_field TRIP[] = {
    {"bookings", 80, FIELD_ITEMS, 4, 2},    {"budget", 50, FIELD_PRICE, 6, 0},
    {"destination", 100, FIELD_NAME, 7, 5}, {"endDate", 100, FIELD_TIME, 5, 3},
    {"name", 100, FIELD_NAME, 3, 6},        {"notes", 70, FIELD_TEXT, 1, 0},
    {"shared", 30, FIELD_BOOL, 8, 0},       {"startDate", 100, FIELD_TIME, 9, 4},
    {"status", 90, FIELD_STATUS, 10, 1},    {"tags", 60, FIELD_TAGS, 2, 0},
};

static const struct record_field PROFILE[] = {
    {"address.city", 80, FIELD_NAME, 4, 5},    {"address.street", 80, FIELD_NAME, 5, 6},
    {"contact.email", 100, FIELD_NAME, 2, 3},  {"contact.phone", 90, FIELD_CODE, 1, 2},
    {"familyName", 100, FIELD_NAME, 7, 8},     {"givenName", 100, FIELD_NAME, 6, 7},
    {"loyalty", 60, FIELD_ITEMS, 3, 1},        {"passport.expires", 60, FIELD_TIME, 9, 0},
    {"passport.number", 60, FIELD_CODE, 8, 0}, {"points", 60, FIELD_NUMBER, 0, 4},
};

static const struct record_field PREFERENCE[] = {
    {"currency", 90, FIELD_CODE, 5, 0},
    {"language", 90, FIELD_CODE, 6, 0},
    {"meal", 70, FIELD_NAME, 2, 2},
    {"notifications.email", 90, FIELD_BOOL, 4, 3},
    {"notifications.push", 90, FIELD_BOOL, 3, 4},
    {"seat", 80, FIELD_CODE, 1, 1},
    {"tags", 50, FIELD_TAGS, 7, 0},
};

#define SHAPE(name_, type_, percent_, fields_)                                                     \
    {                                                                                              \
        .name = (name_), .type = (type_), .percent = (percent_), .fields = (fields_),              \
        .field_count = sizeof(fields_) / sizeof *(fields_)                                         \
    }

const struct record_shape record_shapes[] = {
    SHAPE("TrainReservation", DATA_TYPE_BOOKING, 48, TRAIN),
    SHAPE("FlightReservation", DATA_TYPE_BOOKING, 31, FLIGHT),
    SHAPE("Ticket", DATA_TYPE_BOOKING, 14, TICKET),
    SHAPE("BusReservation", DATA_TYPE_BOOKING, 5, BUS),
    SHAPE("LodgingReservation", DATA_TYPE_BOOKING, 2, LODGING),
    SHAPE("Event", DATA_TYPE_TRIP, 20, EVENT),
    SHAPE("Trip", DATA_TYPE_TRIP, 80, TRIP),
    SHAPE("Profile", DATA_TYPE_PROFILE, 100, PROFILE),
    SHAPE("Preference", DATA_TYPE_PREFERENCE, 100, PREFERENCE),
};
const size_t record_shape_count = sizeof record_shapes / sizeof *record_shapes;
